"""Which tables of positions are cut, how far, and that nothing changes inside the declared ranges."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from tests.variants.graphs import WIDTH, body, model, node, operators, run, value
from tests.variants.more_graphs.ahead import NUMBERS, OPSET, POSITIONS, ROWS, TIME, TIME_OF_X, embedded, ints, positions, random
from variants.explain import listening
from variants.graph_pass import Setting
from variants.passes.cut_positions import cut_positions

LONGEST = 6
SETTING = Setting(ranges={"time": (2, 4, LONGEST)})
ADD = node("Add", "x rows", "y")


def cut(graph: onnx.ModelProto, setting: Setting = SETTING) -> tuple[onnx.ModelProto, int]:
    return cut_positions.fitted(setting).run(graph)


def rows(graph: onnx.ModelProto, axis: int = 1, rank: int = 3) -> list[int]:
    """Of every stored table of this rank."""
    stored = [numpy_helper.to_array(tensor) for tensor in graph.graph.initializer]
    return sorted(array.shape[axis] for array in stored if array.ndim == rank)


def equal_inside(before: onnx.ModelProto, after: onnx.ModelProto, shape: tuple[int, ...] = (WIDTH,)) -> None:
    for time in (2, 5, LONGEST):
        given = {"x": random(3, time, *shape)}
        np.testing.assert_allclose(run(after, given)["y"], run(before, given)["y"], 1e-6, 1e-6)


def relative(**constants: Any) -> onnx.ModelProto:
    """Rows n - t to n + t - 1 of a table of 2n - 1 offsets, added up and added to x."""
    made = [node("Sub", "half length", "start"), node("Add", "half length", "stop"), node("Sub", "stop one", "end")]
    made += [node("Slice", "table start end one", "rows"), node("ReduceSum", "rows one", "sum"), node("Add", "x sum", "y")]
    held = NUMBERS | {"half": ints(ROWS), "table": random(1, 2 * ROWS - 1, WIDTH)} | constants
    return model([*TIME_OF_X, *made], held, [value("x", TIME)], [value("y", TIME)], OPSET)


def test_the_first_rows_are_cut_at_the_largest_length_of_the_range() -> None:
    graph = positions(ADD)
    after, rewrites = cut(graph)
    assert rewrites == 1
    assert rows(after) == [LONGEST]
    assert operators(after) == operators(graph)
    equal_inside(graph, after)
    assert cut(after) == (after, 0)


def test_rows_around_the_middle_are_cut_at_both_ends() -> None:
    graph = relative()
    after, rewrites = cut(graph)
    assert rewrites == 1
    assert rows(after) == [2 * LONGEST - 1]
    equal_inside(graph, after)


def test_a_length_behind_strided_convolutions_is_bounded_by_that_of_the_input() -> None:
    conv = [node("Conv", "x k", "c", strides=[2, 1]), node("Conv", "c k", "h", strides=[2, 1]), node("Squeeze", "h one", "s")]
    sliced = [
        node("Shape", "s", "sizes"),
        node("Slice", "sizes one two nought", "length"),
        node("Slice", "table nought length one", "rows"),
    ]
    graph = model(
        [*conv, *sliced, node("Add", "s rows", "y")],
        NUMBERS | {"k": random(1, 1, 3, 1), "table": random(1, 500, WIDTH)},
        [value("x", ("batch", 1, "frames", WIDTH))],
        [value("y", ("batch", "time", WIDTH))],
    )
    after, rewrites = cut(graph, Setting(ranges={"frames": (7, 300, 1200)}))
    assert rewrites == 1
    assert rows(after) == [299]
    for frames in (7, 300, 1200):
        given = {"x": random(1, 1, frames, WIDTH)}
        np.testing.assert_allclose(run(after, given)["y"], run(graph, given)["y"], 1e-6)


def test_rows_that_a_sliced_list_of_places_picks_are_cut_with_the_list() -> None:
    picked = [node("Slice", "places nought length one", "ids"), node("Gather", "table ids", "e"), node("Add", "x e", "y")]
    held = NUMBERS | {"places": np.arange(80, dtype=np.int64)[None], "table": random(80, WIDTH)}
    graph = model([*TIME_OF_X, *picked], held, [value("x", TIME)], [value("y", TIME)], OPSET)
    after, rewrites = cut(graph)
    assert rewrites == 2
    assert rows(after, 0, 2) == [1, LONGEST]
    equal_inside(graph, after)


def test_places_that_a_clip_bounds_cut_the_table_and_others_do_not() -> None:
    graph = embedded(node("Relu", "rows", "h"), most=np.int64(4))
    after, rewrites = cut(graph)
    assert rewrites == 1
    assert rows(after, 0, 2) == [5]
    equal_inside(graph, after)
    below = embedded(node("Relu", "rows", "h"), least=np.int64(-3), most=np.int64(4))
    assert cut(below)[1] == 0


def test_without_declared_ranges_every_table_stays_whole() -> None:
    graph = positions(ADD)
    assert cut_positions.run(graph) == (graph, 0)
    assert cut(graph, Setting({"time": 4}, {"batch": (1, 2, 3)})) == (graph, 0)


def test_a_range_that_reaches_all_rows_says_so() -> None:
    with listening() as declined:
        assert cut(positions(ADD), Setting(ranges={"time": (1, 2, ROWS)}))[1] == 0
    assert declined == [f"rows: the declared ranges reach all {ROWS} rows"]


def test_a_start_that_may_count_from_the_end_says_so() -> None:
    made = [node("Sub", "length four", "start"), node("Slice", "table start length one", "some"), node("ReduceSum", "some one", "s")]
    with listening() as declined:
        assert cut(positions(*made, node("Add", "x s", "y"), four=ints(4)), SETTING)[1] == 0
    assert "some: its ends may count from the table's end" in declined


@pytest.mark.parametrize(
    "reader",
    [
        [node("ReduceSum", "table one", "s"), node("Add", "x rows", "h"), node("Add", "h s", "y")],
        [
            node("Slice", "table two minus one", "tail"),
            node("ReduceSum", "tail one", "s"),
            node("Add", "x rows", "h"),
            node("Add", "h s", "y"),
        ],
    ],
)
def test_a_table_that_is_also_read_otherwise_stays_whole(reader: list[onnx.NodeProto]) -> None:
    used = {name for made in reader for name in made.input}
    held: dict[str, Any] = {"minus": ints(-1)} if "minus" in used else {}
    graph = positions(*reader, **held)
    assert cut(graph) == (graph, 0)


def test_a_table_that_a_branch_reads_stays_whole() -> None:
    branches = {
        "then_branch": body("then", [node("ReduceSum", "table one", "s"), node("Add", "x s", "t")], [value("t", TIME)]),
        "else_branch": body("else", [node("Add", "x rows", "e")], [value("e", TIME)]),
    }
    nodes = [*POSITIONS, node("ReduceSum", "x", "sum", keepdims=0), node("Greater", "sum zero", "positive")]
    held = NUMBERS | {"table": random(1, ROWS, WIDTH), "zero": np.float32(0)}
    graph = model([*nodes, node("If", "positive", "y", **branches)], held, [value("x", TIME)], [value("y", TIME)], OPSET)
    assert cut(graph) == (graph, 0)


def test_two_slices_of_one_table_share_what_is_left() -> None:
    more = [node("Slice", "table one length one", "later"), node("ReduceSum", "later one", "s"), node("Add", "x rows", "h")]
    graph = positions(*more, node("Add", "h s", "y"))
    after, rewrites = cut(graph)
    assert rewrites == 1
    assert rows(after) == [LONGEST]
    equal_inside(graph, after)


def test_half_precision_stays_half_precision() -> None:
    graph = positions(
        node("Cast", "rows", "f", to=TensorProto.FLOAT), node("Add", "x f", "y"), table=random(1, ROWS, WIDTH, dtype=np.float16)
    )
    after, rewrites = cut(graph)
    assert rewrites == 1
    equal_inside(graph, after)
