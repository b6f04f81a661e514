"""Phases as NVTX ranges, seen by a real NVTX tool: a small library that NVTX loads and calls."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.phases import Phases
from tests.bench.conftest import ROOT, run_bench

TOOL = Path(__file__).with_name("nvtx_tool.c")


@pytest.fixture(scope="module")
def nvtx_tool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: the NVTX tool of this test cannot be built (apt-get install gcc)")
    library = tmp_path_factory.mktemp("nvtx") / "tool.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", str(TOOL), "-o", str(library)], check=True)
    return library


def test_ranges_open_and_close_in_order(nvtx_tool: Path, tmp_path: Path) -> None:
    code = "from bench.phases import Phases\np = Phases()\nwith p('export'):\n    pass\nwith p('warm-up'):\n    pass\n"
    log = tmp_path / "log"
    environment = os.environ | {"NVTX_INJECTION64_PATH": str(nvtx_tool), "NVTX_TOOL_LOG": str(log)}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)
    assert log.read_text().split("\n")[:4] == ["push export", "pop", "push warm-up", "pop"]


def test_a_run_names_every_phase(nvtx_tool: Path, tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv("NVTX_INJECTION64_PATH", str(nvtx_tool))
    monkeypatch.setenv("NVTX_TOOL_LOG", str(log))
    words = ("--passes", "fold+fuse_layernorm", "--precisions", "fp32", "--batches", "8", "--backends", "onnxruntime")
    run_bench(*words, results=tmp_path, cache=shared_cache)
    pushed = [line.removeprefix("push ") for line in log.read_text().splitlines() if line.startswith("push ")]
    for phase in ("export", "pass fold", "pass fuse_layernorm", "build", "check", "warm-up", "measure", "profile"):
        assert phase in pushed


def test_a_phase_that_breaks_is_remembered_as_the_current_one() -> None:
    phases = Phases()
    with pytest.raises(ValueError, match="no"), phases("build"):
        raise ValueError("no")
    assert phases.current == "build"
    assert phases.done == ()


def test_a_phase_entered_twice_is_one_with_the_sum_of_its_seconds() -> None:
    phases = Phases()
    for _ in range(2):
        with phases("measure"):
            pass
    phases.cached("measure")
    (phase,) = phases.done
    assert phase.cached
    assert phase.seconds > 0
