"""Slices merged into one, none, or a Split: exactly, for every size."""

from __future__ import annotations

from itertools import product

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.variants.graphs import branch, copy, equal_outputs, model, node, operators, run, value
from variants.explain import listening
from variants.passes.merge_slices import merge_slices
from variants.rewriting.slicing import BEGIN, END, Span
from variants.variant import Array

FORWARDS = [Span(start, end, step) for start, end, step in product((0, 1, 3, -2), (2, 5, -1, END), (1, 2))]
BACKWARDS = [Span(start, end, -1) for start, end in product((-1, 2, END), (0, BEGIN))]


@pytest.mark.parametrize("first", [*FORWARDS, *BACKWARDS], ids=str)
def test_two_spans_as_one_take_the_same_elements_of_every_size(first: Span) -> None:
    for second, size in product([*FORWARDS, *BACKWARDS], range(8)):
        taken = first.of(size)
        wanted = [taken[place] for place in second.of(len(taken))]
        known, any_size = first.then(second, size), first.then(second, None)
        assert known is not None
        assert list(known.of(size)) == wanted
        assert any_size is None or list(any_size.of(size)) == wanted, (second, size)


@pytest.mark.parametrize("span", [*FORWARDS, *BACKWARDS, Span(-9, BEGIN, -1), Span(9, 0, -2)], ids=str)
def test_a_span_takes_what_onnx_runtime_takes(span: Span) -> None:
    made = sliced([{1: span}], shape=("batch", 5))
    assert run(made, {"x": np.arange(5, dtype=np.float32)[None]})["y"].tolist() == [list(span.of(5))]


def test_most_pairs_of_forward_slices_are_one_even_where_the_size_is_not_known() -> None:
    merged = [first.then(second, None) is not None for first, second in product(FORWARDS, FORWARDS) if min(first.start, second.start) >= 0]
    assert sum(merged) > 0.65 * len(merged)


def sliced(cuts: list[dict[int, Span]], shape: tuple[str | int, ...] = ("batch", 4, 8), opset: int = 13) -> onnx.ModelProto:
    """y = one Slice of x after another."""
    names = ["x", *(f"h{place}" for place in range(len(cuts) - 1)), "y"]
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, Array] = {}
    for place, cut in enumerate(cuts):
        columns = {
            "starts": [span.start for span in cut.values()],
            "ends": [span.end for span in cut.values()],
            "axes": list(cut),
            "steps": [span.step for span in cut.values()],
        }
        if opset < 10:
            del columns["steps"]
            nodes.append(node("Slice", names[place], names[place + 1], **columns))
            continue
        held = {f"{name}{place}": np.array(column, np.int64) for name, column in columns.items()}
        constants |= held
        nodes.append(node("Slice", " ".join((names[place], *held)), names[place + 1]))
    return model(nodes, constants, [value("x", shape)], [value("y", tuple(f"free {axis}" for axis in range(len(shape))))], opset)


def merged(before: onnx.ModelProto, rewrites: int) -> onnx.ModelProto:
    after, count = merge_slices.run(copy(before))
    assert count == rewrites
    assert merge_slices.run(copy(after))[1] == 0
    onnx.checker.check_model(after, full_check=True)
    equal_outputs(before, after)
    return after


def test_slices_of_different_axes_become_one() -> None:
    assert operators(merged(sliced([{1: Span(1, 3, 1)}, {2: Span(0, END, 2)}, {0: Span(0, 1, 1)}]), 2)) == ["Slice"]


@pytest.mark.parametrize("opset", [9, 13])
def test_slices_of_one_axis_become_one_in_the_form_of_the_opset(opset: int) -> None:
    after = merged(sliced([{-1: Span(1, -1, 1)}, {2: Span(2, END, 1)}], opset=opset), 1)
    assert operators(after) == ["Slice"]
    assert bool(after.graph.node[0].attribute) == (opset == 9)


def test_reversing_twice_is_nothing() -> None:
    assert operators(merged(sliced([{2: Span(-1, BEGIN, -1)}, {2: Span(-1, BEGIN, -1)}]), 1)) == ["Identity"]


def test_a_slice_that_takes_everything_goes() -> None:
    before = sliced([{1: Span(0, 4, 1)}, {2: Span(0, END, 1)}, {2: Span(1, 3, 1)}])
    assert operators(merged(before, 2)) == ["Slice"]


def test_ends_from_behind_after_a_known_end_are_left_and_said() -> None:
    before = sliced([{0: Span(0, 2, 1)}, {0: Span(0, -1, 1)}])
    with listening() as heard:
        merged(before, 0)
    assert heard == ["y: two Slices along axis 0 of unknown size: no single one is the same for every size"]


def test_what_else_reads_the_tensor_between_keeps_the_first_slice() -> None:
    constants = {"s": np.array([1]), "e": np.array([3]), "a": np.array([1]), "b": np.array([2])}
    nodes = [node("Slice", "x s e a", "h"), node("Slice", "h s e b", "y"), node("Exp", "h", "z")]
    free = ("batch", 2, "free")
    before = model(nodes, constants, outputs=[value("y", free), value("z", ("batch", 2, 8))])
    assert sorted(operators(merged(before, 1))) == ["Exp", "Slice", "Slice"]


def test_a_tensor_between_that_a_branch_reads_and_that_is_an_output_stays() -> None:
    held = {"first": np.array([0]), "last": np.array([2]), "axis": np.array([2]), "axis0": np.array([1])}
    cut = [node("Slice", "x first last axis", "h"), node("Slice", "h first last axis0", "g")]
    before = branch([node("Concat", "h h h h", "t", axis=2)], [node("Exp", "x", "e")], cut, **held)
    before.graph.output.extend([value("g", ("batch", 2, 2)), value("h", ("batch", 4, 2))])
    after = merged(before, 1)
    assert [made.input[0] for made in after.graph.node if made.op_type == "Slice"] == ["x", "x"]


def parted(cuts: dict[str, tuple[int, int]], opset: int = 13, width: int = 8) -> onnx.ModelProto:
    """Outputs that are each a piece of x along its last axis."""
    nodes, constants = [], {"axis": np.array([-1], np.int64)}
    for name, (start, end) in cuts.items():
        constants |= {f"s{name}": np.array([start], np.int64), f"e{name}": np.array([end], np.int64)}
        nodes.append(node("Slice", f"x s{name} e{name} axis", f"h{name}"))
        nodes.append(node("Exp", f"h{name}", name))
    return model(nodes, constants, outputs=[value(name, ("batch", 4, f"width {name}")) for name in cuts], opset=opset)


@pytest.mark.parametrize("opset", [11, 13, 18])
def test_slices_that_cut_a_tensor_into_pieces_become_a_split(opset: int) -> None:
    after = merged(parted({"a": (3, 5), "b": (0, 3), "c": (-3, END)}, opset), 1)
    assert sorted(operators(after)) == ["Exp", "Exp", "Exp", "Split"]


@pytest.mark.parametrize("cuts", [{"a": (0, 3), "b": (4, 8)}, {"a": (0, 5), "b": (3, 8)}, {"a": (0, 3), "b": (3, 7)}], ids=str)
def test_slices_with_a_gap_or_an_overlap_stay(cuts: dict[str, tuple[int, int]]) -> None:
    assert "Split" not in operators(merged(parted(cuts), 0))


def test_pieces_of_an_axis_of_unknown_size_stay() -> None:
    constants = {"n": np.array([0]), "m": np.array([1]), "e": np.array([END]), "axis": np.array([0])}
    nodes = [node("Slice", "x n m axis", "y"), node("Slice", "x m e axis", "z")]
    before = model(nodes, constants, outputs=[value("y", ("one", 4, 8)), value("z", ("others", 4, 8))])
    assert operators(merged(before, 0)) == ["Slice", "Slice"]


def test_bounds_that_are_computed_are_left_and_said() -> None:
    constants = {"n": np.array([0]), "m": np.array([1]), "axis": np.array([1])}
    nodes = [node("Slice", "x n m axis", "h"), node("Slice", "h n end axis", "y")]
    inputs = [value("x"), value("end", (1,), TensorProto.INT64)]
    before = model(nodes, constants, inputs, [value("y", ("batch", "free", 8))])
    with listening() as heard:
        assert merge_slices.run(before)[1] == 0
    assert heard == ["y: a Slice of a Slice whose bounds are computed"]


def test_a_slice_of_float16_and_of_a_constant_is_merged_too() -> None:
    made = sliced([{1: Span(1, 3, 1)}, {2: Span(0, 2, 1)}])
    for tensor in (made.graph.input[0], made.graph.output[0]):
        tensor.type.tensor_type.elem_type = TensorProto.FLOAT16
    after, rewrites = merge_slices.run(copy(made))
    given = {"x": np.arange(64, dtype=np.float16).reshape(2, 4, 8)}
    assert rewrites == 1
    np.testing.assert_array_equal(run(after, given)["y"], run(made, given)["y"])
    assert helper.tensor_dtype_to_np_dtype(after.graph.output[0].type.tensor_type.elem_type) == np.float16
