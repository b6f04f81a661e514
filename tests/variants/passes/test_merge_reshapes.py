"""Reshapes merged into one or none, where the target is certain for every size."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tests.variants.graphs import WIDTH, model, node, operators, value
from tests.variants.more_graphs.layout import FREE, chain_of_reshapes
from tests.variants.passes.layout_checks import moves, rewritten
from variants.explain import listening
from variants.passes.merge_reshapes import merge_reshapes
from variants.rewriting.reshaping import target
from variants.symbolic.infer import Shape
from variants.symbolic.sizes import named, sized


def reshapes(*targets: list[int], shape: tuple[str | int, ...] = FREE, out: tuple[str | int, ...] = FREE) -> onnx.ModelProto:
    """x reshaped by one target after another, between two Exp."""
    names = ["in", *(f"h{place}" for place in range(len(targets)))]
    nodes = [node("Reshape", f"{names[place]} t{place}", names[place + 1]) for place in range(len(targets))]
    held = {f"t{place}": np.array(sizes, np.int64) for place, sizes in enumerate(targets)}
    return model([node("Exp", "x", "in"), *nodes, node("Exp", names[-1], "y")], held, [value("x", shape)], [value("y", out)])


def test_a_chain_that_comes_back_is_nothing() -> None:
    assert operators(rewritten(merge_reshapes, chain_of_reshapes(), 3)) == ["Identity"]


def test_a_target_with_a_zero_that_means_the_same_dimension_is_kept() -> None:
    after = rewritten(merge_reshapes, reshapes([0, 0, 2, 4], [0, -1, 2, 2, 2], out=("batch", "rows", 2, 2, 2)), 1)
    assert moves(after) == {"Reshape": 1}


def test_a_zero_that_means_another_dimension_becomes_what_the_shapes_say() -> None:
    before = reshapes([-1, 2, 4], [4, 0, -1], shape=("batch", 4, WIDTH), out=(4, 2, "free"))
    after = rewritten(merge_reshapes, before, 1)
    goal = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in after.graph.initializer}
    assert [array.tolist() for array in goal.values()] == [[4, 2, -1]]


def test_two_free_dimensions_that_a_flatten_lost_are_left_and_said() -> None:
    nodes = [
        node("Reshape", "x flat", "h"),
        node("Reshape", "h goal", "y"),
    ]
    goal = value("goal", (3,), onnx.TensorProto.INT64)
    before = model(nodes, {"flat": np.array([-1, WIDTH])}, [value("x", FREE), goal], [value("y", ("a", "b", "c"))])
    with listening() as heard:
        assert merge_reshapes.run(before)[1] == 0
    assert heard == ["y: the shape behind two Reshapes is not known well enough to write it as one"]


def test_a_target_computed_from_what_came_in_goes_past_the_flatten() -> None:
    nodes = [
        node("Shape", "x", "sizes"),
        node("Reshape", "x flat", "h"),
        node("Relu", "h", "g"),
        node("Reshape", "g apart", "i"),
        node("Reshape", "i sizes", "y"),
    ]
    before = model(nodes, {"flat": np.array([-1, WIDTH]), "apart": np.array([-1, 2, 4])}, [value("x", FREE)], [value("y", FREE)])
    assert moves(rewritten(merge_reshapes, before, 1)) == {"Reshape": 2}


@pytest.mark.parametrize("opset", [11, 13])
def test_unsqueezes_become_one_and_squeezes_too_without_knowing_sizes(opset: int) -> None:
    def step(op: str, source: str, output: str, axis: int) -> onnx.NodeProto:
        return node(op, source, output, axes=[axis]) if opset < 13 else node(op, f"{source} a{axis}", output)

    nodes = [
        step("Unsqueeze", "x", "a", 1),
        step("Unsqueeze", "a", "b", 0),
        node("Exp", "b", "c"),
        step("Squeeze", "c", "d", 2),
        step("Squeeze", "d", "e", 0),
        node("Exp", "e", "y"),
    ]
    held = {f"a{axis}": np.array([axis], np.int64) for axis in (0, 1, 2)} if opset >= 13 else {}
    after = rewritten(merge_reshapes, model(nodes, held, [value("x", FREE)], [value("y", FREE)], opset), 2)
    assert moves(after) == {"Squeeze": 1, "Unsqueeze": 1}


def test_a_squeeze_undone_by_an_unsqueeze_at_another_end_is_one_reshape() -> None:
    nodes = [node("Squeeze", "x last", "h"), node("Unsqueeze", "h first", "g"), node("Exp", "g", "y")]
    held = {"last": np.array([-1]), "first": np.array([0])}
    before = model(nodes, held, [value("x", ("batch", 4, 1))], [value("y", (1, "batch", 4))])
    assert moves(rewritten(merge_reshapes, before, 1)) == {"Reshape": 1}


def test_a_reshape_to_the_same_shape_goes_and_one_to_another_stays() -> None:
    assert moves(rewritten(merge_reshapes, reshapes([0, -1, WIDTH]), 1)) == {}
    assert moves(rewritten(merge_reshapes, reshapes([0, WIDTH, 4], shape=("batch", 4, WIDTH), out=("batch", WIDTH, 4)), 0)) == {
        "Reshape": 1
    }


def test_what_else_reads_the_tensor_between_keeps_the_first() -> None:
    nodes = [node("Reshape", "x flat", "h"), node("Reshape", "h wide", "y"), node("Exp", "h", "z")]
    held = {"flat": np.array([-1, 4 * WIDTH]), "wide": np.array([-1, 16, 2])}
    before = model(nodes, held, outputs=[value("y", ("batch", 16, 2)), value("z", ("batch", 4 * WIDTH))])
    assert moves(rewritten(merge_reshapes, before, 1)) == {"Reshape": 2}


BATCH, ROWS = named("batch"), named("rows")


@pytest.mark.parametrize(
    ("source", "wanted", "expected"),
    [
        ((BATCH, ROWS, sized(8)), (BATCH, ROWS, sized(2), sized(4)), [0, 0, 2, 4]),
        ((BATCH, ROWS, sized(8)), (BATCH * ROWS, sized(8)), [-1, 8]),
        ((BATCH * ROWS, sized(8)), (BATCH, ROWS, sized(8)), None),
        ((BATCH, ROWS), (ROWS, BATCH), None),
        ((BATCH, ROWS), (BATCH, sized(0)), None),
        (None, (BATCH,), None),
    ],
    ids=str,
)
def test_a_target_has_numbers_zeros_for_the_same_dimension_and_one_minus_one(
    source: Shape | None, wanted: Shape, expected: list[int] | None
) -> None:
    assert target(source, wanted) == expected
