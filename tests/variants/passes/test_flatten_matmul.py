"""Products on matrices: one pair of Reshapes around a chain of them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tests.variants.graphs import WIDTH, branch, model, node, operators, value
from tests.variants.more_graphs.layout import FREE, encoder, mlp, mlp_weights, weights
from tests.variants.passes.layout_checks import moves, rewritten
from variants.explain import listening
from variants.passes.flatten_matmul import flatten_matmul

GEMM, EVERY = (flatten_matmul.at(option) for option in ("gemm", "every"))


def count(graph: onnx.ModelProto, *ops: str) -> list[int]:
    return [operators(graph).count(op) for op in ops]


def test_two_products_and_what_is_between_share_one_pair_of_reshapes() -> None:
    after = rewritten(GEMM, model(mlp(), mlp_weights()), 2)
    assert operators(after) == ["Reshape", "Gemm", "Sigmoid", "Mul", "Gemm", "Reshape"]


def test_without_the_option_product_and_bias_stay_two_nodes() -> None:
    after = rewritten(flatten_matmul, model(mlp(), mlp_weights()), 2)
    assert operators(after) == ["Reshape", "MatMul", "Add", "Sigmoid", "Mul", "MatMul", "Add", "Reshape"]


def test_a_lone_product_is_left_and_said_unless_every_product_is_asked_for() -> None:
    made = model([node("MatMul", "x w", "p"), node("Add", "p b", "y")], {"w": weights(), "b": weights(1)[0]})
    with listening() as heard:
        assert operators(rewritten(flatten_matmul, made, 0)) == ["MatMul", "Add"]
    assert heard == ["p: 1 products on matrices would take 2 more nodes around them"]
    assert operators(rewritten(EVERY, made, 1)) == ["Reshape", "MatMul", "Add", "Reshape"]


def test_the_way_back_of_two_free_dimensions_is_by_the_sizes_of_what_came_in() -> None:
    after = rewritten(EVERY, model(mlp(), mlp_weights(), [value("x", FREE)], [value("y", FREE)]), 2)
    assert count(after, "MatMul", "Reshape", "Shape", "Gather", "Concat") == [2, 2, 1, 1, 1]


def test_a_computed_reshape_behind_a_product_reads_the_matrix() -> None:
    after = rewritten(EVERY, encoder(), 3)
    before_heads = {made.output[0] for made in after.graph.node if made.op_type == "MatMul"}
    assert any(made.op_type == "Reshape" and made.input[0] in before_heads and made.output[0] == "y" for made in after.graph.node)


def test_what_only_precedes_or_follows_the_products_is_left_as_it_was() -> None:
    nodes = [node("Tanh", "x", "t"), node("MatMul", "t w", "p"), node("Exp", "p", "e"), node("Relu", "e", "y")]
    after = rewritten(EVERY, model(nodes, {"w": weights()}), 1)
    assert operators(after) == ["Tanh", "Reshape", "MatMul", "Reshape", "Exp", "Relu"]


def test_a_residual_between_blocks_stays_on_matrices() -> None:
    second = [node("MatMul", "r w", "q"), node("Add", "q r", "y")]
    nodes = [*mlp("x", "m"), node("Add", "x m", "r"), node("LayerNormalization", "r g b", "n", axis=-1), *second]
    nodes[-2] = node("MatMul", "n w", "q")
    held = mlp_weights() | {"w": weights(), "g": np.ones(WIDTH, np.float32), "b": np.zeros(WIDTH, np.float32)}
    after = rewritten(GEMM, model(nodes, held, opset=17), 3)
    assert moves(after) == {"Reshape": 2}


def test_a_bias_of_another_shape_is_no_part_of_the_gemm() -> None:
    nodes = [node("MatMul", "x w", "p"), node("Add", "p shift", "y")]
    after = rewritten(EVERY, model(nodes, {"w": weights(), "shift": weights(4, WIDTH)}), 1)
    assert operators(after) == ["Reshape", "MatMul", "Reshape", "Add"]


@pytest.mark.parametrize("shape", [("batch", WIDTH), ("batch", 2, 4, WIDTH)], ids=str)
def test_a_matrix_is_left_and_four_dimensions_are_flattened(shape: tuple[str | int, ...]) -> None:
    made = model(
        [node("MatMul", "x w", "p"), node("Add", "b p", "y")],
        {"w": weights(), "b": weights(1)[0]},
        [value("x", shape)],
        [value("y", shape)],
    )
    after = rewritten(EVERY, made, int(len(shape) > 2))
    assert moves(after) == ({"Reshape": 2} if len(shape) > 2 else {})


@pytest.mark.parametrize("lead", [(3, 4), (1, 1)])
def test_what_is_joined_to_a_constant_row_by_row_is_left_out(lead: tuple[int, int]) -> None:
    nodes = [node("MatMul", "x w", "p"), node("Concat", "p more", "c", axis=-1), node("MatMul", "c v", "y")]
    held = {"w": weights(), "v": weights(10, WIDTH), "more": np.ones((*lead, 2), np.float32)}
    before = model(nodes, held, [value("x", (*lead, WIDTH))], [value("y", (*lead, WIDTH))])
    assert moves(rewritten(EVERY, before, 2)) == {"Reshape": 4}


def test_a_product_of_two_activations_is_left() -> None:
    nodes = [node("Transpose", "x", "t", perm=[0, 2, 1]), node("MatMul", "x t", "y")]
    assert operators(rewritten(GEMM, model(nodes, outputs=[value("y", ("batch", 4, 4))]), 0)) == ["Transpose", "MatMul"]


def test_a_region_that_leaves_and_comes_back_makes_no_circle() -> None:
    nodes = [
        node("MatMul", "x w", "q"),
        node("Transpose", "q", "t", perm=[0, 2, 1]),
        node("Softmax", "t", "s", axis=-1),
        node("Transpose", "s", "u", perm=[0, 2, 1]),
        node("Add", "u q", "v"),
        node("MatMul", "v w", "y"),
    ]
    after = rewritten(EVERY, model(nodes, {"w": weights()}, [value("x", FREE)], [value("y", FREE)]), 2)
    assert count(after, "MatMul") == [2]


def test_the_sizes_of_the_way_back_are_of_something_that_does_not_wait_for_it() -> None:
    nodes = [
        node("Reshape", "x together", "a"),
        node("Tanh", "a", "g"),
        node("Sigmoid", "g", "h"),
        node("MatMul", "h w", "q"),
        node("Transpose", "q", "t", perm=[0, 2, 1]),
        node("Softmax", "t", "s", axis=-1),
        node("Transpose", "s", "u", perm=[0, 2, 1]),
        node("Add", "u q", "v"),
        node("MatMul", "v w", "y"),
    ]
    held = {"w": weights(), "together": np.array([0, 0, WIDTH])}
    rewritten(EVERY, model(nodes, held, [value("x", ("batch", "rows", 2, 4))], [value("y", FREE)]), 2)


def test_a_product_that_is_an_output_or_that_a_branch_reads_keeps_its_shape() -> None:
    before = [node("MatMul", "x w", "p"), node("Add", "p b", "h"), node("MatMul", "h w", "q")]
    made = branch([node("Exp", "h", "t")], [node("Mul", "q q", "e")], before, w=weights(), b=weights(1)[0])
    made.graph.output.append(value("p"))
    after = rewritten(EVERY, made, 2)
    assert "p" in {name for made in after.graph.node for name in made.output if made.op_type == "Reshape"}


def test_float16_and_shared_weights_are_left_as_they_are() -> None:
    half = {"w": weights().astype(np.float16), "b": weights(1)[0].astype(np.float16)}
    nodes = [
        node("Cast", "x", "c", to=onnx.TensorProto.FLOAT16),
        node("MatMul", "c w", "p"),
        node("Add", "p b", "h"),
        node("MatMul", "h w", "q"),
        node("Add", "q b", "i"),
        node("Cast", "i", "y", to=onnx.TensorProto.FLOAT),
    ]
    after = rewritten(GEMM, model(nodes, half), 2, atol=2e-2)
    stored = [tensor.data_type for tensor in after.graph.initializer if tensor.data_type != onnx.TensorProto.INT64]
    assert stored == [onnx.TensorProto.FLOAT16] * 2
