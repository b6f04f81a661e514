"""Every version compiles for every target; what does not says where and why."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from bench.kernels.build import Built, build, main, table
from bench.kernels.parallel import Refused, compile_all
from plugins import nvrtc
from plugins.discovery import ROOT, all_kernels, find
from plugins.gpu import TARGETS, occupancy
from plugins.kernel import BadKernelFile, Kernel, Problem
from plugins.prepare import prepare

no_compiler = pytest.mark.skipif(nvrtc.unavailable() is not None, reason=str(nvrtc.unavailable()))
COUNT = Problem({"count": 1000}, "fp16")


def copied(root: Path, text: str, name: str = "v9_mine") -> Kernel:
    folder = root / "swish"
    folder.mkdir(exist_ok=True)
    shutil.copy(ROOT / "swish" / "reference.py", folder)
    (folder / f"{name}.cu").write_text(text, encoding="utf-8")
    return find(f"swish/{name}", root)


@no_compiler
@pytest.mark.parametrize("kernel", all_kernels(), ids=lambda k: k.id)
def test_a_version_compiles_for_hopper_without_a_spill(kernel: Kernel) -> None:
    for row in build([kernel], ["sm_90"], ["fp16"], workers=1):
        assert not row.broken, row.reason
        assert row.spilled == 0, f"{row.kernel} {row.problem} spills {row.spilled} bytes on {row.arch}"


@no_compiler
@pytest.mark.parametrize("target", list(TARGETS))
def test_the_fastest_layernorm_compiles_for_every_target(target: str) -> None:
    (row, *_) = build([find("layernorm/v5_hopper")], [target], ["bf16"], workers=1)
    assert row.code > 1000
    assert row.spilled == 0


@no_compiler
def test_an_error_names_file_and_line_and_the_other_versions_still_build(tmp_path: Path) -> None:
    good = (ROOT / "swish" / "v1_basic.cu").read_text(encoding="utf-8")
    broken = copied(tmp_path, good.replace("expf(-v)", "expf(-w)"))
    fine = copied(tmp_path, good, "v1_fine")
    first, second = compile_all([(broken, COUNT, TARGETS["sm_90"]), (fine, COUNT, TARGETS["sm_90"])], workers=1)
    assert isinstance(first, Refused)
    assert first.wrong
    assert 'v9_mine.cu(15): error: identifier "w" is undefined' in first.reason
    assert not isinstance(second, Refused)


@no_compiler
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"v9_mine\.cu:1: begin with '// <idea>'"),
        ("// v9 mine.\n// Source: own.\n", r"v9_mine\.cu: add a '/\* launch"),
        ("// v9 mine.\n// Source: own.\n/* launch\ngrid = rows\n*/\n", r"v9_mine\.cu:4: .*unknown name 'rows'"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_and_the_other_versions_still_build(tmp_path: Path, text: str, said: str) -> None:
    good = (ROOT / "swish" / "v1_basic.cu").read_text(encoding="utf-8")
    jobs = [(kernel, COUNT, TARGETS["sm_90"]) for kernel in (copied(tmp_path, text), copied(tmp_path, good, "v1_fine"))]
    first, second = compile_all(jobs, workers=1)
    assert isinstance(first, Refused)
    assert first.wrong
    assert re.search(said, first.reason)
    assert not isinstance(second, Refused)


@no_compiler
def test_a_file_that_includes_a_changed_header_is_compiled_anew(tmp_path: Path) -> None:
    kernel = copied(tmp_path, _with_header())
    header = kernel.path.parent / "mine.cuh"
    header.write_text("#define TWO 2\n", encoding="utf-8")
    before = nvrtc.source_digest(kernel.path)
    header.write_text("#define TWO 3\n", encoding="utf-8")
    assert nvrtc.source_digest(kernel.path) != before


@no_compiler
def test_a_cached_kernel_is_the_same_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kernel = find("swish/v2_vector")
    fresh = prepare(kernel, COUNT, TARGETS["sm_90"]).compiled
    monkeypatch.setattr(nvrtc, "_nvrtc", None)
    assert prepare(kernel, COUNT, TARGETS["sm_90"]).compiled == fresh


@no_compiler
def test_a_file_without_the_entry_says_so(tmp_path: Path) -> None:
    text = (ROOT / "swish" / "v1_basic.cu").read_text(encoding="utf-8").replace("ENTRY(", "other(")
    with pytest.raises(BadKernelFile, match="ENTRY"):
        prepare(copied(tmp_path, text), COUNT, TARGETS["sm_90"])


def test_occupancy_agrees_with_the_occupancy_calculator() -> None:
    hopper = TARGETS["sm_90"]
    assert occupancy(hopper, 256, 32, 0) == 1.0
    assert occupancy(hopper, 1024, 64, 0) == 0.5
    assert occupancy(hopper, 128, 255, 0) == 0.125
    assert occupancy(hopper, 128, 16, 100 * 1024) == 0.125


def test_a_refusal_is_shown_in_the_table_beside_the_others() -> None:
    rows = [Built("a/v1", "fp16-1", "sm_90", registers=32), Built("a/v2", "fp16-1", "sm_90", reason="does not compile")]
    assert "does not compile" in table(rows).splitlines()[2]


def test_an_unknown_kernel_lists_those_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-k", "nonsense"]) == 2
    assert "layernorm/v5_hopper" in capsys.readouterr().err


def _with_header() -> str:
    good = (ROOT / "swish" / "v1_basic.cu").read_text(encoding="utf-8")
    return good.replace('#include "common.cuh"', '#include "common.cuh"\n#include "mine.cuh"')
