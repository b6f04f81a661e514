"""Where cast_booleans, flat_shape_tensors and static_reshape rewrite, and where they leave a graph alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from tests.variants import obstacles
from tests.variants.graphs import body, equal_outputs, model, node, operators, run, value
from tests.variants.obstacles import FREE, ints, padded
from variants.graph import with_shapes
from variants.passes.cast_booleans import cast_booleans
from variants.passes.flat_shape_tensors import flat_shape_tensors
from variants.passes.static_reshape import static_reshape

BACK = node("Slice", "matrix back before first back", "reversed")
FLATTENED: dict[str, tuple[tuple[onnx.NodeProto, ...], dict[str, Any]]] = {
    "as torch writes it": ((), {}),
    "with Flatten and Squeeze": (
        (*obstacles.TURN[:2], node("Flatten", "turned", "row", axis=0), node("Squeeze", "row first", "pads")),
        {},
    ),
    "with Gather": (
        (node("Gather", "matrix rows", "r", axis=0), node("Transpose", "r", "t", perm=[1, 0]), node("Reshape", "t flat", "pads")),
        {"rows": ints(1, 0)},
    ),
    "with a Where": (obstacles.LIMIT, {}),
    "with arithmetic against a column": (
        (*obstacles.TURN[:2], node("Add", "turned column", "a"), node("Sub", "a column", "s"), node("Reshape", "s flat", "pads")),
        {"column": np.array([[1], [2]], np.int64)},
    ),
    "with Max against a scalar and a Cast": (
        (
            *obstacles.TURN[:2],
            node("Max", "turned nought", "m"),
            node("Cast", "m", "f", to=TensorProto.FLOAT),
            node("Cast", "f", "i", to=TensorProto.INT64),
            node("Reshape", "i flat", "pads"),
        ),
        {"nought": np.int64(0)},
    ),
    "joined from two matrices": (
        (
            BACK,
            node("Slice", "reversed first one one", "left"),
            node("Slice", "reversed one two one", "right"),
            node("Concat", "left right", "columns", axis=0),
            node("Reshape", "columns flat", "pads"),
        ),
        {},
    ),
    "joined side by side": (
        (
            BACK,
            node("Slice", "reversed first one one", "left"),
            node("Slice", "reversed one two one", "right"),
            node("Concat", "left right", "rows", axis=1),
            node("Transpose", "rows", "t", perm=[1, 0]),
            node("Reshape", "t flat", "pads"),
        ),
        {},
    ),
    "with Expand and Tile": (
        (*obstacles.TURN[:2], node("Expand", "turned square", "e"), node("Tile", "e singly", "ti"), node("Reshape", "ti flat", "pads")),
        {"square": ints(2, 2), "singly": ints(1, 1)},
    ),
}


@pytest.mark.parametrize("form", FLATTENED)
def test_a_matrix_behind_a_pad_is_computed_flat(form: str) -> None:
    turn, constants = FLATTENED[form]
    graph = padded(*turn, **constants)
    after, rewrites = flat_shape_tensors.run(graph)
    assert rewrites == 1
    assert not {"Transpose", "Expand", "Tile", "Flatten"} & set(operators(after))
    assert all(len(made.type.tensor_type.shape.dim) == 1 for made in with_shapes(after).graph.value_info)
    given = {"x": np.random.default_rng(0).normal(size=(3, 13)).astype(np.float32)}
    np.testing.assert_array_equal(run(after, given)["y"], run(graph, given)["y"])


def test_a_chain_of_moves_becomes_one_gather() -> None:
    after, _ = flat_shape_tensors.run(padded())
    assert operators(after)[-2:] == ["Gather", "Pad"]
    assert operators(after).count("Gather") == 1


LEFT_ALONE = {
    "a sum of the matrix": padded(
        *obstacles.TURN[:2],
        node("Reshape", "turned cube", "c"),
        node("ReduceSum", "c first", "sum", keepdims=0),
        node("Reshape", "sum flat", "pads"),
        cube=ints(1, 2, 2),
    ),
    "amounts that were never a matrix": model(
        [*obstacles.amounts(), node("Identity", "p", "pads"), node("Pad", "x pads", "y")],
        obstacles.AMOUNTS,
        [value("x", FREE)],
        [value("y", ("rows", "columns"))],
    ),
    "rows that are chosen by what is computed": padded(
        node("Slice", "missing first one", "which"),
        node("Mod", "which two", "row"),
        node("Concat", "row row", "rows", axis=0),
        node("Gather", "matrix rows", "r", axis=0),
        node("Reshape", "r flat", "pads"),
    ),
    "data in a matrix": model([node("Transpose", "x", "y", perm=[1, 0])], {}, [value("x", FREE)], [value("y", FREE[::-1])]),
}


@pytest.mark.parametrize("form", LEFT_ALONE)
def test_what_cannot_or_need_not_be_flattened_is_left_alone(form: str) -> None:
    after, rewrites = flat_shape_tensors.run(LEFT_ALONE[form])
    assert rewrites == 0
    assert after == LEFT_ALONE[form]


def test_a_boolean_that_is_also_read_as_one_keeps_both_readers() -> None:
    nodes = [
        node("Greater", "x nought", "b"),
        node("Slice", "b first end axis", "s"),
        node("Cast", "s", "y", to=TensorProto.FLOAT),
        node("Where", "b x nought", "z"),
    ]
    held = {"nought": np.float32(0), "first": ints(1), "end": ints(3), "axis": ints(1)}
    graph = model(nodes, held, [value("x", ("batch", 4))], [value("y", ("batch", 2)), value("z", ("batch", 4))])
    after, rewrites = cast_booleans.run(graph)
    assert rewrites == 1
    equal_outputs(graph, after)


def test_a_boolean_output_stays_boolean_under_its_name() -> None:
    nodes = [node("Greater", "x nought", "b"), node("Slice", "b first end axis", "y")]
    held = {"nought": np.float32(0), "first": ints(1), "end": ints(3), "axis": ints(1)}
    graph = model(nodes, held, [value("x", ("batch", 4))], [value("y", ("batch", 2), TensorProto.BOOL)])
    after, rewrites = cast_booleans.run(graph)
    assert rewrites == 1
    assert after.graph.output[0].type.tensor_type.elem_type == TensorProto.BOOL
    equal_outputs(graph, after)


def test_floats_that_are_moved_are_left_alone() -> None:
    held = {"first": ints(1), "end": ints(3), "axis": ints(1)}
    graph = model([node("Slice", "x first end axis", "y")], held, [value("x", ("batch", 4))], [value("y", ("batch", 2))])
    assert cast_booleans.run(graph) == (graph, 0)


def convolution(target: tuple[int, ...], op: str = "Conv", group: int = 2, weight: tuple[int, ...] = (4, 4, 3, 3)) -> onnx.ModelProto:
    nodes = [node("Reshape", "x t", "r"), node(op, "r w", "y", group=group, pads=[1, 1, 1, 1])]
    held = {"t": ints(*target), "w": np.ones(weight, np.float32)}
    return model(nodes, held, [value("x", ("batch", 8, 16))], [value("y", ("batch", 4, 4, 4))])


@pytest.mark.parametrize(
    "graph",
    [
        convolution((0, -1, 4, 4)),
        convolution((0, -1, 4, 4), group=1, weight=(4, 8, 3, 3)),
        convolution((0, -1, 4, 4), "ConvTranspose", 2, (8, 2, 3, 3)),
    ],
)
def test_a_constant_target_gets_the_channels_that_the_weights_are_for(graph: onnx.ModelProto) -> None:
    after, rewrites = static_reshape.run(graph)
    assert rewrites == 1
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in after.graph.initializer}
    assert stored[next(made for made in after.graph.node if made.op_type == "Reshape").input[1]].tolist() == [0, 8, 4, 4]
    equal_outputs(graph, after)


@pytest.mark.parametrize("graph", [convolution((-1, 8, 4, 4)), convolution((0, 8, -1, 4)), obstacles.grouped(8)])
def test_a_target_that_holds_the_channels_is_left_alone(graph: onnx.ModelProto) -> None:
    assert static_reshape.run(graph) == (graph, 0)


def test_a_reshape_that_no_convolution_reads_is_left_alone() -> None:
    graph = model([node("Reshape", "x t", "y")], {"t": ints(0, -1, 4, 4)}, [value("x", ("batch", 8, 16))], [value("y", ("batch", 8, 4, 4))])
    assert static_reshape.run(graph) == (graph, 0)


def test_a_convolution_of_weights_that_come_from_outside_says_nothing_of_unknown_channels() -> None:
    nodes = [node("Reshape", "x t", "r"), node("Conv", "r w", "y", pads=[1, 1, 1, 1])]
    given = [value("x", ("batch", 8, 16)), value("w", ("out", "in", 3, 3))]
    graph = model(nodes, {"t": ints(0, -1, 4, 4)}, given, [value("y", ("batch", "out", 4, 4))])
    assert static_reshape.run(graph) == (graph, 0)


def test_a_second_reader_of_the_old_target_keeps_it() -> None:
    nodes = [
        node("Reshape", "x t", "r"),
        node("Conv", "r w", "h", group=2, pads=[1, 1, 1, 1]),
        node("Reshape", "h t", "k"),
        node("Add", "h k", "y"),
    ]
    held = {"t": ints(0, -1, 4, 4), "w": np.ones((4, 4, 3, 3), np.float32)}
    graph = model(nodes, held, [value("x", ("batch", 8, 16))], [value("y", ("batch", 4, 4, 4))])
    after, rewrites = static_reshape.run(graph)
    assert rewrites == 1
    equal_outputs(graph, after)


def test_what_stands_in_a_body_is_left_alone() -> None:
    inner = [
        node("Greater", "x nought", "b"),
        node("Slice", "b first end axis", "s"),
        node("Cast", "s", "t", to=TensorProto.FLOAT),
    ]
    other = [node("Slice", "x first end axis", "e")]
    out = value("t", ("batch", 2)), value("e", ("batch", 2))
    held = {"nought": np.float32(0), "first": ints(1), "end": ints(3), "axis": ints(1), "yes": np.bool_(True)}
    branch = node("If", "yes", "y", then_branch=body("then", inner, [out[0]]), else_branch=body("else", other, [out[1]]))
    graph = model([branch], held, [value("x", ("batch", 4))], [value("y", ("batch", 2))])
    assert cast_booleans.run(graph) == (graph, 0)
