"""Transposes, Squeezes and Unsqueezes moved through what does not care, only where fewer remain."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from tests.variants.graphs import WIDTH, Norm, affine, branch, model, node, operators, value
from tests.variants.more_graphs.layout import IMAGE, half_moves, mlp, mlp_weights, sliding_mask, squeezed_and_back, two_biases
from tests.variants.passes.layout_checks import moves, rewritten
from variants.explain import listening
from variants.passes.move_layout import move_layout
from variants.rewriting.layout import Layout

TURNED = ("batch", WIDTH, 4)


def between(*nodes: onnx.NodeProto, held: Mapping[str, object] | None = None, opset: int = 13, width: int = WIDTH) -> onnx.ModelProto:
    """`nodes` from "h" to "g" between a Transpose and one back."""
    whole = [node("Transpose", "x", "h", perm=[0, 2, 1]), *nodes, node("Transpose", "g", "y", perm=[0, 2, 1])]
    return model(whole, held or {}, outputs=[value("y", ("batch", 4, width))], opset=opset)


@pytest.mark.parametrize("opset", [11, 13, 18])
def test_a_pair_around_elementwise_operators_goes_and_their_constants_are_transposed(opset: int) -> None:
    scale = np.linspace(1, 2, WIDTH, dtype=np.float32).reshape(WIDTH, 1)
    before = between(
        node("Mul", "h scale", "a"),
        node("Tanh", "a", "b"),
        node("Add", "b shift", "g"),
        held={"scale": scale, "shift": scale[:, 0:1]},
        opset=opset,
    )
    assert operators(rewritten(move_layout, before, 1)) == ["Mul", "Tanh", "Add"]


def test_a_constant_that_broadcasts_along_the_last_axis_only_is_moved_too() -> None:
    before = between(node("Mul", "c h", "g"), held={"c": np.linspace(1, 2, 4, dtype=np.float32)})
    assert operators(rewritten(move_layout, before, 1)) == ["Mul"]


def test_a_mask_of_channels_first_moves_with_what_it_masks() -> None:
    assert moves(rewritten(move_layout, sliding_mask(), 1)) == {"Unsqueeze": 1}


def test_two_transposes_behind_two_additions_become_one_before_them() -> None:
    assert moves(rewritten(move_layout, two_biases(), 1)) == {"Reshape": 1, "Transpose": 1}


def test_a_squeeze_and_an_unsqueeze_around_an_elementwise_operator_go() -> None:
    assert moves(rewritten(move_layout, squeezed_and_back(), 1)) == {}


def test_float16_constants_stay_float16() -> None:
    after = rewritten(move_layout, half_moves(), 1, atol=5e-3)
    assert moves(after) == {}
    assert {tensor.data_type for tensor in after.graph.initializer} == {TensorProto.FLOAT16}


def test_along_an_axis_a_concat_a_split_and_a_slice_move() -> None:
    held = {"sizes": np.array([3, 5]), "s": np.array([0]), "e": np.array([6]), "on": np.array([1])}
    before = between(
        node("Split", "h sizes", "a b", axis=1),
        node("Concat", "b a", "c", axis=1),
        node("Slice", "c s e on", "d"),
        node("Tanh", "d", "g"),
        held=held,
        width=6,
    )
    after = rewritten(move_layout, before, 1)
    assert sorted(operators(after)) == ["Concat", "Slice", "Split", "Tanh"]


@pytest.mark.parametrize(("op", "opset"), [("ReduceSum", 11), ("ReduceSum", 13), ("ReduceMax", 13), ("ReduceMean", 18)])
def test_a_reduction_moves_with_its_axes_in_the_form_of_the_opset(op: str, opset: int) -> None:
    as_input = opset >= (13 if op == "ReduceSum" else 18)
    reduced = node(op, "h on", "s") if as_input else node(op, "h", "s", axes=[1])
    before = between(reduced, node("Sub", "h s", "g"), held={"on": np.array([1])} if as_input else {}, opset=opset)
    assert moves(rewritten(move_layout, before, 1)) == {}


@pytest.mark.parametrize("op", ["Softmax", "ReduceMean"])
def test_what_runs_over_the_last_axis_stays_there(op: str) -> None:
    last = node("Softmax", "h", "s", axis=-1) if op == "Softmax" else node("ReduceMean", "h", "s", axes=[-1])
    before = between(last, node("Mul", "h s", "g"))
    assert moves(rewritten(move_layout, before, 0)) == {"Transpose": 2}


def test_a_layernorm_over_channels_between_transposes_stays_one() -> None:
    norm = Norm(source="h", output="g")
    nodes = [node("Transpose", "x", "h", perm=[0, 2, 3, 1]), *norm.nodes(), node("Transpose", "g", "y", perm=[0, 3, 1, 2])]
    before = model(nodes, affine(), [value("x", IMAGE)], [value("y", IMAGE)])
    assert moves(rewritten(move_layout, before, 0)) == {"Transpose": 2}


@pytest.mark.parametrize(("axis", "rewrites"), [(-1, 1), (2, 1), (1, 0)])
def test_a_layernorm_over_the_last_axis_lets_others_change_places(axis: int, rewrites: int) -> None:
    nodes = [
        node("Transpose", "x", "h", perm=[1, 0, 2]),
        node("LayerNormalization", "h scale bias", "g", axis=axis),
        node("Transpose", "g", "y", perm=[1, 0, 2]),
    ]
    before = model(nodes, {name: affine()[name] for name in ("scale", "bias")}, opset=17)
    assert moves(rewritten(move_layout, before, rewrites)) == ({} if rewrites else {"Transpose": 2})


def test_a_product_is_no_elementwise_operator() -> None:
    nodes = [node("Transpose", "x", "h", perm=[0, 2, 1]), *mlp("h", "g"), node("Transpose", "g", "y", perm=[0, 2, 1])]
    free = ("batch", WIDTH, "rows")
    before = model(nodes, mlp_weights(), [value("x", free)], [value("y", free)])
    assert moves(rewritten(move_layout, before, 0)) == {"Transpose": 2}


def test_moving_where_as_many_would_remain_is_declined_and_said() -> None:
    nodes = [node("Transpose", "x", "h", perm=[0, 2, 1]), node("Exp", "h", "y"), node("Softmax", "h", "z", axis=-1)]
    before = model(nodes, outputs=[value("y", TURNED), value("z", TURNED)])
    with listening() as heard:
        assert moves(rewritten(move_layout, before, 0)) == {"Transpose": 1}
    assert heard == ["h: moved through what is around it, as many layout nodes would remain"]


def test_an_addition_to_something_that_is_not_transposed_is_left() -> None:
    nodes = [
        node("Transpose", "x", "h", perm=[0, 2, 1]),
        node("Add", "h w", "a"),
        node("Relu", "a", "y"),
    ]
    before = model(nodes, inputs=[value("x"), value("w", TURNED)], outputs=[value("y", TURNED)])
    assert moves(rewritten(move_layout, before, 0)) == {"Transpose": 1}


def test_a_residual_transposed_with_its_branch_keeps_one_transpose_for_who_reads_it() -> None:
    nodes = [
        node("Transpose", "x", "h", perm=[0, 2, 1]),
        node("Tanh", "h", "t"),
        node("Add", "h t", "r"),
        node("Transpose", "r", "y", perm=[0, 2, 1]),
        node("Exp", "t", "z"),
    ]
    before = model(nodes, outputs=[value("y"), value("z", TURNED)])
    assert moves(rewritten(move_layout, before, 1)) == {"Transpose": 1}


def test_a_tensor_between_that_a_branch_reads_or_that_is_an_output_has_the_layout_it_had() -> None:
    before = [
        node("Transpose", "x", "h", perm=[0, 2, 1]),
        node("Tanh", "h", "t0"),
        node("Transpose", "t0", "g", perm=[0, 2, 1]),
        node("Exp", "h", "u"),
        node("Transpose", "u", "w", perm=[0, 2, 1]),
    ]
    made = branch([node("Transpose", "t0", "t", perm=[0, 2, 1])], [node("Add", "g w", "e")], before)
    made.graph.output.append(value("t0", TURNED))
    assert moves(rewritten(move_layout, made, 1)) == {"Transpose": 1}


def test_an_axis_of_size_one_that_an_addition_makes_longer_changes_place_with_the_others() -> None:
    nodes = [node("Unsqueeze", "x at", "h"), node("Add", "h c", "g"), node("Transpose", "g", "y", perm=[0, 2, 1])]
    held = {"at": np.array([2]), "c": np.arange(3, dtype=np.float32)}
    before = model(nodes, held, [value("x", ("batch", 4))], [value("y", ("batch", 3, 4))])
    assert moves(rewritten(move_layout, before, 1)) == {"Unsqueeze": 1}


def test_a_rank_that_is_not_known_is_left_alone() -> None:
    nodes = [
        node("Reshape", "x goal", "u"),
        node("Unsqueeze", "u front", "h"),
        node("Tanh", "h", "g"),
        node("Squeeze", "g front", "r"),
        node("Reshape", "r flat", "y"),
    ]
    goal = value("goal", ("rank",), TensorProto.INT64)
    before = model(nodes, {"front": np.array([0]), "flat": np.array([-1])}, [value("x"), goal], [value("y", ("n",))])
    assert move_layout.run(before)[1] == 0


def test_constants_that_several_nodes_share_are_not_changed_for_the_others() -> None:
    shared = np.linspace(1, 2, WIDTH * 4, dtype=np.float32).reshape(WIDTH, 4)
    nodes = [
        node("Transpose", "x", "h", perm=[0, 2, 1]),
        node("Mul", "h c", "g"),
        node("Transpose", "g", "y", perm=[0, 2, 1]),
        node("Mul", "turned c", "z"),
        node("Softmax", "x", "s", axis=-1),
        node("Transpose", "s", "turned", perm=[0, 2, 1]),
    ]
    ordered = [*nodes[:3], nodes[4], nodes[5], nodes[3]]
    before = model(ordered, {"c": shared}, outputs=[value("y"), value("z", TURNED)])
    assert moves(rewritten(move_layout, before, 1)) == {"Transpose": 1}


def test_layouts_compose_and_invert_as_arrays_do() -> None:
    array = np.arange(24).reshape(2, 1, 3, 4)
    turn, drop, add = Layout((2, 0, 3), 4), Layout((1, 0, 2), 3), Layout((0, None, 1, 2), 3)
    both = turn.then(drop).then(add)
    np.testing.assert_array_equal(both.array(array), add.array(drop.array(turn.array(array))))
    np.testing.assert_array_equal(both.inverse().array(both.array(array)), array)
    assert turn.then(turn.inverse()).identity
    assert Layout((0, 2), 3).then(Layout((0, None, 1), 2)).cost == 0
