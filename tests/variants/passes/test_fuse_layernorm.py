"""Which LayerNorms are fused, which are left alone, and that both compute what they did."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.variants.graphs import (
    SHAPE,
    WIDTH,
    Norm,
    affine,
    branch,
    equal_outputs,
    feeds,
    layernorm,
    model,
    node,
    operators,
    run,
    value,
    with_nodes,
)
from variants.passes.fuse_layernorm import fuse_layernorm

NORM = Norm()
SCALE: np.ndarray[Any, Any] = affine()["scale"]


FUSED = {
    "as torch exports it": layernorm(),
    "square by Mul": layernorm(replace(NORM, square="Mul")),
    "operands swapped": layernorm(replace(NORM, swapped=True)),
    "operands swapped and square by Mul": layernorm(replace(NORM, swapped=True, square="Mul")),
    "a positive axis": layernorm(replace(NORM, axes=(2,))),
    "the last two axes": layernorm(
        replace(NORM, axes=(-2, -1)), scale=np.arange(32, dtype=np.float32).reshape(4, 8), bias=np.ones((4, 8), np.float32)
    ),
    "axes in any order": layernorm(
        replace(NORM, axes=(2, 1)), scale=np.arange(32, dtype=np.float32).reshape(4, 8), bias=np.ones((4, 8), np.float32)
    ),
    "nodes without names": layernorm(replace(NORM, named=False)),
    "opset 17 already": layernorm(opset=17),
    "axes as an input since opset 18": layernorm(replace(NORM, axes_are_inputs=True), opset=18),
    "epsilon of shape [1]": layernorm(epsilon=np.full(1, 1e-5, np.float32)),
    "a large epsilon": layernorm(epsilon=np.float32(0.5)),
    "one channel": layernorm(shape=("batch", 4, 1), scale=np.full(1, 3, np.float32), bias=np.full(1, 2, np.float32)),
}


@pytest.mark.parametrize("form", FUSED)
def test_a_decomposed_layernorm_becomes_one_node(form: str) -> None:
    after, rewrites = fuse_layernorm.run(FUSED[form])
    assert rewrites == 1
    assert [name for name in operators(after) if name != "Constant"] == ["LayerNormalization"]
    onnx.checker.check_model(after, full_check=True)
    equal_outputs(FUSED[form], after)


def test_a_layernorm_is_found_where_shapes_are_not_known() -> None:
    graph = of_unknown_shape()
    after, rewrites = fuse_layernorm.run(graph)
    assert rewrites == 1
    equal_outputs(graph, after)


def test_the_thirteen_layernorms_of_vit_digits_are_fused(vit: onnx.ModelProto) -> None:
    after, rewrites = fuse_layernorm.run(vit)
    assert rewrites == operators(after).count("LayerNormalization") == 13
    assert not {"Pow", "Sqrt", "ReduceMean"} & set(operators(after))


def test_the_fused_node_carries_the_epsilon_and_axis_of_the_nine_and_fp32_statistics() -> None:
    after, _ = fuse_layernorm.run(layernorm(epsilon=np.float32(1e-3)))
    (fused,) = after.graph.node
    found = {attribute.name: helper.get_attribute_value(attribute) for attribute in fused.attribute}
    assert found == {"axis": -1, "epsilon": pytest.approx(1e-3), "stash_type": 1}


def test_the_fused_node_keeps_the_name_of_the_module() -> None:
    graph = layernorm()
    graph.graph.node[-1].name = "/blocks.0/norm1/Add_1"
    assert fuse_layernorm.run(graph)[0].graph.node[0].name.startswith("/blocks.0/norm1/")


def test_constants_written_as_nodes_are_found() -> None:
    graph = layernorm()
    constants = [helper.make_node("Constant", [], [t.name], value=t) for t in graph.graph.initializer]
    after, rewrites = fuse_layernorm.run(model([*constants, *graph.graph.node]))
    assert rewrites == 1
    equal_outputs(graph, after)


def test_two_layernorms_may_share_their_weights() -> None:
    graph = model([*Norm(output="h").nodes(), *Norm(source="h").nodes()], affine())
    after, rewrites = fuse_layernorm.run(graph)
    assert rewrites == 2
    equal_outputs(graph, after)


def test_a_layernorm_whose_result_is_read_twice_and_is_an_output_is_fused() -> None:
    graph = with_nodes(Norm(output="h"), node("Exp", "h", "y"), node("Relu", "h", "z"), outputs=(value("h"), value("y"), value("z")))
    after, rewrites = fuse_layernorm.run(graph)
    assert rewrites == 1
    equal_outputs(graph, after)


def test_a_layernorm_whose_result_only_a_body_reads_is_fused() -> None:
    graph = branch([node("Relu", "h", "t")], [node("Exp", "h", "e")], Norm(output="h").nodes(), **affine())
    after, rewrites = fuse_layernorm.run(graph)
    assert rewrites == 1
    onnx.checker.check_model(after, full_check=True)
    equal_outputs(graph, after)


def of_unknown_shape(**constants: Any) -> onnx.ModelProto:
    """A LayerNorm of what a computed shape made."""
    nodes = [node("Shape", "x", "shape"), node("Reshape", "x shape", "h"), *Norm(source="h").nodes()]
    return model(nodes, affine() | constants)


def varied() -> onnx.ModelProto:
    nodes = NORM.nodes()
    nodes[3].attribute[0].ints[:] = [-2]
    return model(nodes, affine())


FIXED = (WIDTH, WIDTH)
LEFT_ALONE = {
    "another axis than the last": layernorm(replace(NORM, axes=(1,))),
    "the last and the first axis": layernorm(replace(NORM, axes=(0, 2))),
    "reduced axes dropped": layernorm(replace(NORM, keepdims=0), shape=FIXED),
    "exponent 3": layernorm(two=np.float32(3)),
    "one exponent a channel": layernorm(two=np.full(WIDTH, 2, np.float32)),
    "a scalar scale and bias": layernorm(scale=np.float32(2), bias=np.float32(1)),
    "a scale of one element": layernorm(scale=np.full(1, 2, np.float32), bias=np.ones(1, np.float32)),
    "a scale for each token too": layernorm(scale=np.ones((4, WIDTH), np.float32) * 2, bias=np.ones((4, WIDTH), np.float32)),
    "a scale of one element beside a bias of all": layernorm(scale=np.full(1, 2, np.float32)),
    "a bias of one element beside a scale of all": layernorm(bias=np.full(1, 2, np.float32)),
    "a scale for each token where shapes are not known": of_unknown_shape(
        scale=np.ones((4, WIDTH), np.float32), bias=np.ones((4, WIDTH), np.float32)
    ),
    "a scale of one element where shapes are not known": of_unknown_shape(scale=np.full(1, 2, np.float32), bias=np.ones(1, np.float32)),
    "the variance over another axis": varied(),
    "a scale that widens one channel": model(Norm().nodes(), affine(), [value("x", ("batch", 4, 1))], [value("y", ("batch", 4, WIDTH))]),
    "an epsilon a channel": layernorm(shape=FIXED, epsilon=np.full((WIDTH, 1), 1e-5, np.float32)),
    "an epsilon that adds an axis": model(
        Norm().nodes(), affine() | {"epsilon": np.full((1, 1, 1, 1), 1e-5, np.float32)}, outputs=[value("y", (1, "batch", 4, WIDTH))]
    ),
    "no axis at all": layernorm(replace(NORM, axes_are_inputs=True, axes=()), opset=18, scale=np.float32(2), bias=np.float32(1)),
    "the mean is read elsewhere": with_nodes(NORM, node("Exp", "y_mean", "z"), outputs=(value("y"), value("z", ("batch", 4, 1)))),
    "the centred values are read elsewhere": with_nodes(NORM, node("Exp", "y_c", "z"), outputs=(value("y"), value("z"))),
    "the quotient is read elsewhere": with_nodes(NORM, node("Exp", "y_unit", "z"), outputs=(value("y"), value("z"))),
    "the centred values are an output": with_nodes(NORM, outputs=(value("y"), value("y_c"))),
    "the variance is an output": with_nodes(NORM, outputs=(value("y"), value("y_variance", ("batch", 4, 1)))),
    "the scaled values are an output": with_nodes(NORM, outputs=(value("y"), value("y_scaled"))),
    "scale is an input": model(Norm().nodes(), {k: v for k, v in affine().items() if k != "scale"}, [value("x"), value("scale", (WIDTH,))]),
    "epsilon is an input": model(Norm().nodes(), {k: v for k, v in affine().items() if k != "epsilon"}, [value("x"), value("epsilon", ())]),
}


@pytest.mark.parametrize("form", LEFT_ALONE)
def test_what_is_not_quite_a_layernorm_is_left_alone(form: str) -> None:
    before = LEFT_ALONE[form]
    run(before, feeds(before, 2))
    after, rewrites = fuse_layernorm.run(before)
    assert rewrites == 0
    assert after == before


def test_the_parts_of_a_difference_the_other_way_round_are_left_alone() -> None:
    nodes = NORM.nodes()
    nodes[1].input[:] = ["y_mean", "x"]
    assert fuse_layernorm.run(model(nodes, affine()))[1] == 0


def test_a_quotient_the_other_way_round_is_left_alone() -> None:
    nodes = NORM.nodes()
    nodes[6].input[:] = ["y_deviation", "y_c"]
    assert fuse_layernorm.run(model(nodes, affine()))[1] == 0


def test_a_product_that_is_no_square_is_left_alone() -> None:
    nodes = replace(NORM, square="Mul").nodes()
    nodes[2].input[:] = ["y_c", "x"]
    assert fuse_layernorm.run(model(nodes, {name: array for name, array in affine().items() if name != "two"}))[1] == 0


def test_a_mean_of_something_else_is_left_alone() -> None:
    nodes = [node("Exp", "x", "other"), *NORM.nodes()]
    nodes[1].input[0] = "other"
    assert fuse_layernorm.run(model(nodes, affine()))[1] == 0


def test_float64_keeps_its_statistics_in_float64() -> None:
    constants = {name: np.asarray(array, np.float64) for name, array in affine().items()}
    double = TensorProto.DOUBLE
    graph = model(
        NORM.nodes(), {k: np.atleast_1d(v) for k, v in constants.items()}, [value("x", SHAPE, double)], [value("y", SHAPE, double)]
    )
    assert {tensor.data_type for tensor in graph.graph.initializer} == {double}
    assert fuse_layernorm.run(graph)[1] == 0


def test_fp16_in_nine_nodes_is_fused_and_has_fp32_statistics() -> None:
    half = TensorProto.FLOAT16
    constants = {name: np.asarray(array, np.float16) for name, array in affine().items()}
    graph = model(NORM.nodes(), constants, [value("x", SHAPE, half)], [value("y", SHAPE, half)])
    after, rewrites = fuse_layernorm.run(graph)
    assert rewrites == 1
    (fused,) = after.graph.node
    assert next(a.i for a in fused.attribute if a.name == "stash_type") == TensorProto.FLOAT
    x = np.random.default_rng(0).normal(size=(2, 4, WIDTH)).astype(np.float16)
    np.testing.assert_allclose(run(after, {"x": x})["y"], run(graph, {"x": x})["y"], atol=0.01)


def test_a_layernorm_inside_a_branch_is_left_alone() -> None:
    graph = branch(Norm(output="t").nodes(), [node("Relu", "x", "e")], **affine())
    after, rewrites = fuse_layernorm.run(graph)
    assert (rewrites, after) == (0, graph)


def test_a_layernorm_that_begins_outside_a_branch_and_ends_in_it_is_left_alone() -> None:
    nodes = Norm(output="t").nodes()
    graph = branch(nodes[5:7] + nodes[7:], [node("Relu", "x", "e")], nodes[:5], **affine())
    after, rewrites = fuse_layernorm.run(graph)
    assert (rewrites, after) == (0, graph)


def test_a_layernorm_inside_a_loop_is_left_alone_while_one_outside_is_fused() -> None:
    inner = helper.make_graph(
        [node("Identity", "going", "still"), *Norm(source="state", output="next").nodes()],
        "body",
        [value("i", (), TensorProto.INT64), value("going", (), TensorProto.BOOL), value("state")],
        [value("still", (), TensorProto.BOOL), value("next")],
    )
    nodes = [*Norm(output="h").nodes(), node("Loop", "trips start h", "y", body=inner)]
    graph = model(nodes, affine() | {"trips": np.int64(2), "start": np.bool_(True)})
    after, rewrites = fuse_layernorm.run(graph)
    assert rewrites == 1
    onnx.checker.check_model(after, full_check=True)
    equal_outputs(graph, after)
