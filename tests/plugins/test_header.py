"""The launch block: what it may say, and what it answers when it is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from plugins.discovery import families
from plugins.gpu import TARGETS
from plugins.header import grid_expression, plan, read
from plugins.kernel import BadKernelFile, Kernel, Plan, Problem, Unsupported

HOPPER = TARGETS["sm_90"]
ROWS = Problem({"rows": 10, "cols": 768}, "fp16", {"affine": True})


def version(folder: Path, launch: str, first: str = "// Idea.\n// Source: own.\n") -> Kernel:
    path = folder / "v9_mine.cu"
    path.write_text(f"{first}/* launch\n{launch}*/\n", encoding="utf-8")
    return read(families()["layernorm"], path)


def planned(folder: Path, launch: str, problem: Problem = ROWS) -> Plan:
    return plan(version(folder, launch), problem, HOPPER)


def test_uppercase_names_become_macros_and_lowercase_ones_the_launch(tmp_path: Path) -> None:
    got = planned(tmp_path, "VEC = vector(cols)\nWARPS = 4\ngrid = cdiv(rows, WARPS)\nblock = 32 * WARPS\nshared = cols * 4\n")
    assert got.macros == {"VEC": 8, "WARPS": 4}
    assert (got.grid, got.block, got.shared) == ((3, 1, 1), (128, 1, 1), 3072)


@pytest.mark.parametrize(("cols", "align", "width"), [(768, 16, 8), (770, 16, 2), (769, 16, 1), (768, 4, 2), (768, 2, 1)])
def test_an_access_is_as_wide_as_row_and_pointers_allow(tmp_path: Path, cols: int, align: int, width: int) -> None:
    problem = Problem({"rows": 10, "cols": cols}, "fp16", {"affine": True}, align)
    assert planned(tmp_path, "VEC = vector(cols)\ngrid = 1\nblock = 1\n", problem).macros["VEC"] == width


def test_a_requirement_that_fails_names_version_problem_and_reason(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"layernorm/v9_mine cannot take fp16-10x768-affine: too wide"):
        planned(tmp_path, 'require(cols < 100, "too wide")\ngrid = 1\nblock = 1\n')


def test_more_shared_memory_than_the_gpu_has_is_unsupported(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"needs 300000 bytes of shared memory .* gives a block 232448"):
        planned(tmp_path, "grid = 1\nblock = 1\nshared = 300000\n")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("import os\n", "only 'name = expression'"),
        ("X = rows.bit_length()\n", "not allowed"),
        ("X = lenght\n", "unknown name 'lenght'"),
        ("X = (1\n", "never closed"),
        ("X = [r for r in (1, 2)]\n", "not allowed"),
    ],
)
def test_a_wrong_line_is_named_with_file_and_number(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(BadKernelFile, match=rf"v9_mine\.cu:5: .*{said}"):
        planned(tmp_path, "grid = 1\n" + line + "block = 1\n")


def test_a_block_without_grid_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadKernelFile, match="assign grid"):
        planned(tmp_path, "block = 1\n")


@pytest.mark.parametrize("first", ["", "// Idea only.\n", "// Source: only.\n"])
def test_a_file_must_open_with_its_idea_and_source(tmp_path: Path, first: str) -> None:
    with pytest.raises(BadKernelFile, match="begin with"):
        version(tmp_path, "grid = 1\nblock = 1\n", first)


def test_programmatic_launch_is_dropped_where_the_hardware_lacks_it(tmp_path: Path) -> None:
    kernel = version(tmp_path, "grid = 1\nblock = 1\npdl = True\n")
    assert plan(kernel, ROWS, TARGETS["sm_90"]).pdl
    assert not plan(kernel, ROWS, TARGETS["sm_86"]).pdl


class Symbol:
    """Stands for a dimension that TensorRT knows only at run time."""

    def __init__(self, text: str) -> None:
        self.text = text


def test_the_grid_follows_a_dynamic_row_count(tmp_path: Path) -> None:
    chosen = planned(tmp_path, "WARPS = 4\ngrid = cdiv(rows, WARPS)\nblock = 128\n")
    calls: Mapping[str, Any] = {"cdiv": lambda a, b: Symbol(f"ceil({a.text} / {b})")}
    assert grid_expression(chosen, {"rows": Symbol("n")}, calls).text == "ceil(n / 4)"
