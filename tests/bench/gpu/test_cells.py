"""The file that says what to measure on a GPU: what it means, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.gpu.cells import Cell, read
from bench.passes import expand, find
from bench.precisions import find as find_precision
from common.errors import UserError
from reports.case import Case
from tests.bench.conftest import ROOT
from variants.find import find as find_variant

RAW = Case("vit:tiny", (), "fp16", 1, "onnxruntime_cuda")
FOLDED = Case("vit:tiny", ("fold", "fuse_gelu"), "fp32", 8, "onnxruntime")


def written(folder: Path, text: str) -> Path:
    path = folder / "cells.txt"
    path.write_text(text)
    return path


def test_a_line_is_a_case_or_two_and_each_counts_once(tmp_path: Path) -> None:
    raw, folded = "vit:tiny none fp16 1 onnxruntime_cuda", "vit:tiny fold+fuse_gelu fp32 8 onnxruntime"
    text = f"# a comment\n{raw}\n\n{folded}  # the second\n{folded} against {raw}\n{raw}\n"
    assert read(written(tmp_path, text)) == (Cell(RAW), Cell(FOLDED), Cell(FOLDED, RAW))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("vit:tiny none fp16 1", r"cells.txt:1: 'vit:tiny none fp16 1' is not 'variant passes precision batch backend'"),
        ("vit:tiny none fp16 one onnxruntime", "such as vit:base none fp16 1 onnxruntime_cuda"),
        ("# nothing", "no case in it"),
    ],
)
def test_a_line_that_is_no_case_is_refused_with_what_it_should_be(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read(written(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"missing.txt: cannot be read \(No such file"):
        read(tmp_path / "missing.txt")


def test_every_cell_measured_on_the_h200_still_names_what_there_is() -> None:
    cells = read(ROOT / "bench" / "gpu" / "passes_h200.txt")
    for case in (case for cell in cells for case in (cell.case, cell.against) if case):
        find_variant(case.variant)
        find_precision(case.precision)
        for name in expand(case.passes):
            find(name)
    singles = {cell.case for cell in cells if cell.against is None}
    assert all({cell.case, cell.against} <= singles for cell in cells if cell.against)
