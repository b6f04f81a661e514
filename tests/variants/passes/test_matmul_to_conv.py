"""Products as 1x1 convolutions, where Transposes go with it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tests.variants.graphs import WIDTH, branch, model, node, operators, value
from tests.variants.more_graphs.layout import FREE, IMAGE, mlp, mlp_between_transposes, mlp_weights, weights
from tests.variants.passes.layout_checks import moves, rewritten
from variants.explain import listening
from variants.passes.matmul_to_conv import matmul_to_conv


def test_an_mlp_between_transposes_is_two_convolutions_and_no_transpose() -> None:
    assert operators(rewritten(matmul_to_conv, mlp_between_transposes(), 2)) == ["Conv", "Sigmoid", "Mul", "Conv"]


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_over_one_two_and_three_axes(axes: int) -> None:
    names = tuple(f"size {axis}" for axis in range(axes))
    shape: tuple[str | int, ...] = ("batch", WIDTH, *names)
    last, first = [0, *range(2, axes + 2), 1], [0, axes + 1, *range(1, axes + 1)]
    nodes = [
        node("Transpose", "x", "h", perm=last),
        node("MatMul", "h w", "p"),
        node("Add", "p b", "q"),
        node("Transpose", "q", "y", perm=first),
    ]
    made = model(nodes, {"w": weights(), "b": weights(1)[0]}, [value("x", shape)], [value("y", shape)])
    after = rewritten(matmul_to_conv, made, 1)
    assert operators(after) == ["Conv"]
    assert len(after.graph.node[0].input) == 3


def test_a_product_without_bias_may_write_an_output_of_the_graph() -> None:
    nodes = [
        node("Conv", "x c", "before"),
        node("Transpose", "before", "h", perm=[0, 2, 1]),
        node("MatMul", "h w", "p"),
        node("Transpose", "p", "y", perm=[0, 2, 1]),
    ]
    shape = ("batch", WIDTH, 4)
    made = model(nodes, {"c": weights()[:, :, None], "w": weights()}, [value("x", shape)], [value("y", shape)])
    after = rewritten(matmul_to_conv, made, 1)
    assert [(one.op_type, list(one.output)) for one in after.graph.node] == [("Conv", ["before"]), ("Conv", ["y"])]


def test_one_transpose_alone_stays_a_product() -> None:
    nodes = [node("Transpose", "x", "h", perm=[0, 2, 3, 1]), *mlp("h", "y")]
    before = model(nodes, mlp_weights(), [value("x", IMAGE)], [value("y", ("batch", "height", "width", WIDTH))])
    with listening() as heard:
        assert moves(rewritten(matmul_to_conv, before, 0)) == {"Transpose": 1}
    assert heard == ["p1: as a convolution it would need as many Transposes as before"]


def test_a_second_reader_of_the_channels_last_tensor_keeps_its_transpose() -> None:
    made = mlp_between_transposes()
    made.graph.node.append(node("Softmax", "last", "z", axis=-1))
    made.graph.output.append(value("z", ("batch", "height", "width", WIDTH)))
    assert moves(rewritten(matmul_to_conv, made, 2)) == {"Transpose": 1}


def test_a_branch_that_reads_the_product_keeps_it_channels_last() -> None:
    before = [node("Transpose", "x", "h", perm=[0, 2, 1]), node("MatMul", "h w", "p"), node("Transpose", "p", "g", perm=[0, 2, 1])]
    made = branch([node("Transpose", "p", "t", perm=[0, 2, 1])], [node("Exp", "g", "e")], before, w=weights(4, 4))
    after, _ = matmul_to_conv.run(made)
    assert operators(after).count("Transpose") <= 2
    rewritten(matmul_to_conv, made, 1)


def test_a_bias_that_is_none_of_one_value_a_channel_stays_an_addition() -> None:
    nodes = [
        node("Transpose", "x", "h", perm=[0, 2, 1]),
        node("MatMul", "h w", "p"),
        node("Add", "p shift", "q"),
        node("Transpose", "q", "y", perm=[0, 2, 1]),
    ]
    shape = ("batch", WIDTH, 4)
    made = model(nodes, {"w": weights(), "shift": weights(4, WIDTH)}, [value("x", shape)], [value("y", shape)])
    assert operators(rewritten(matmul_to_conv, made, 1)) == ["Conv", "Add"]


def test_the_option_all_makes_every_product_one_between_transposes() -> None:
    made = model(mlp(), mlp_weights(), [value("x", FREE)], [value("y", FREE)])
    after = rewritten(matmul_to_conv.at("all"), made, 2)
    assert operators(after).count("Conv") == 2
    assert moves(after) == {"Transpose": 4}
    assert matmul_to_conv.run(made)[1] == 0


def test_float16_weights_stay_float16() -> None:
    nodes = [
        node("Cast", "x", "c", to=onnx.TensorProto.FLOAT16),
        node("Transpose", "c", "h", perm=[0, 2, 1]),
        node("MatMul", "h w", "p"),
        node("Transpose", "p", "q", perm=[0, 2, 1]),
        node("Cast", "q", "y", to=onnx.TensorProto.FLOAT),
    ]
    shape = ("batch", WIDTH, "rows")
    made = model(nodes, {"w": weights().astype(np.float16)}, [value("x", shape)], [value("y", shape)])
    after, rewrites = matmul_to_conv.run(made)
    assert rewrites == 1
    assert {tensor.data_type for tensor in after.graph.initializer} == {onnx.TensorProto.FLOAT16}
