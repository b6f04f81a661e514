"""A graph whose dimensions a pass has fixed gets a profile no wider than itself, and one of free dimensions keeps its range."""

from __future__ import annotations

import importlib
from pathlib import Path

import onnx
import pytest

from bench.backend import BuildOptions
from tests.variants.more_graphs.ahead import reshaped
from variants.graph_pass import Setting
from variants.passes.fix_shapes import fix_shapes

pytest.importorskip("tensorrt_rtx")
backend = importlib.import_module("bench.backends.tensorrt_rtx").tensorrt_rtx
within = importlib.import_module("bench.backends._rtx_worker").within
SPANS = ((2, 3, 8), (2, 5, 8), (2, 9, 8))


def options() -> BuildOptions:
    (low, best, high) = SPANS
    return BuildOptions((("x", best),), 1, "8.9", 120.0, (("x", low, high),))


def test_a_fixed_dimension_is_the_best_one_at_both_ends() -> None:
    assert within((-1, 5, -1), ((1, 4, 7), (2, 5, 8), (3, 6, 9))) == ((1, 5, 7), (2, 5, 8), (3, 5, 9))


@pytest.mark.parametrize("sizes", [{}, {"batch": 2}, {"batch": 2, "time": 5}])
def test_a_graph_builds_over_the_declared_range_however_much_of_it_is_fixed(sizes: dict[str, int], tmp_path: Path) -> None:
    graph, _ = fix_shapes.fitted(Setting(sizes)).run(reshaped())
    onnx.save(graph, tmp_path / "model.onnx")
    info = backend.build(tmp_path / "model.onnx", tmp_path / "plan", options())
    assert info.rejection == ""


def test_a_graph_fixed_at_another_size_than_the_case_is_refused(tmp_path: Path) -> None:
    graph, _ = fix_shapes.fitted(Setting({"time": 6})).run(reshaped())
    onnx.save(graph, tmp_path / "model.onnx")
    info = backend.build(tmp_path / "model.onnx", tmp_path / "plan", options())
    assert "tensor has 6" in info.rejection
