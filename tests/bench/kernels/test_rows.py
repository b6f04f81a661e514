"""The samples that a GPU gave are the rounds that pytest-benchmark shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import bench.test_kernels as rows
from bench.kernels.measurement import Timed, Timing

ROOT = Path(__file__).parents[3]
TIMED = Timed(
    "swish",
    "fp16-8",
    "a test",
    {"count": 8},
    "fp16",
    32,
    10,
    2,
    (Timing("copy", "floor", (2.0, 2.0, 2.0)), Timing("v1", "version", (3.0, 5.0, 4.0)), Timing("v2", "version", (), "needs sm_90")),
    None,
)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_timed", lambda _: TIMED)
    monkeypatch.setattr(rows, "_environment", lambda: {"gpu": "none"})


INSIDE = """
import pytest
import bench.test_kernels as rows
from bench.replay import REPLAY
from tests.bench.kernels.test_rows import TIMED

@pytest.mark.benchmark(timer=REPLAY)
def test_one(benchmark, monkeypatch):
    monkeypatch.setattr(rows, "_timed", lambda _: TIMED)
    monkeypatch.setattr(rows, "_environment", lambda: {"gpu": "none"})
    rows.test_kernel("swish-fp16-8", "v1", benchmark)
"""


def test_a_version_becomes_a_row_of_its_own_samples(tmp_path: Path) -> None:
    (tmp_path / "test_inside.py").write_text(INSIDE)
    # A run of its own: beside other workers pytest-benchmark measures nothing.
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "-c", os.devnull]
    done = subprocess.run(
        [*command, "--benchmark-json", str(tmp_path / "saved.json"), str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=own | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = json.loads((tmp_path / "saved.json").read_text())["benchmarks"]
    assert sorted(row["stats"]["data"]) == pytest.approx([3e-6, 4e-6, 5e-6])
    assert row["extra_info"]["over_copy"] == 2.0


@pytest.mark.filterwarnings("ignore:Benchmark fixture was not used at all")
@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(("contender", "reason"), [("v2", "needs sm_90"), ("triton", "triton does not take part")])
def test_what_was_not_timed_skips_with_its_reason(contender: str, reason: str, benchmark: Any) -> None:
    with pytest.raises(pytest.skip.Exception, match=reason):
        rows.test_kernel("swish-fp16-8", contender, benchmark)


def test_every_version_of_every_timed_family_has_rows() -> None:
    ids = {str(case.id) for case in rows.CASES}
    assert "layernorm-fp16-197x768-affine-v5_hopper" in ids
    assert any(i.startswith("attention-") and i.endswith("v1_unfused") for i in ids)
