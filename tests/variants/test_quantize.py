"""Where Q and DQ go, and what their scales are."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper, shape_inference

from common.errors import UserError
from tests.variants.graphs import branch, feeds, model, node, opset, run, value
from variants.lowering.calibration import Range, Ranges
from variants.lowering.quantize import activations, insert_qdq

WEIGHT = np.random.default_rng(2).normal(size=(8, 8)).astype(np.float32)


def limits(**largest: float) -> Ranges:
    return tuple(Range(name, limit) for name, limit in largest.items())


def quantised(graph: onnx.ModelProto, **largest: float) -> onnx.ModelProto:
    after = insert_qdq(graph, limits(**largest))
    onnx.checker.check_model(after, full_check=True)
    return after


def stored(graph: onnx.ModelProto, name: str) -> np.ndarray[Any, Any]:
    return numpy_helper.to_array(next(tensor for tensor in graph.graph.initializer if tensor.name == name))


def made_by(graph: onnx.ModelProto, op: str) -> list[onnx.NodeProto]:
    return [n for n in graph.graph.node if n.op_type == op]


def product(**constants: Any) -> onnx.ModelProto:
    return model([node("MatMul", "x w", "y")], {"w": WEIGHT} | constants)


def test_a_product_gets_one_pair_for_its_input_and_a_dequantised_weight() -> None:
    after = quantised(product(), x=2.54)
    assert [n.op_type for n in after.graph.node].count("QuantizeLinear") == 1
    assert len(made_by(after, "DequantizeLinear")) == 2
    (quantise,) = made_by(after, "QuantizeLinear")
    assert stored(after, quantise.input[1]) == pytest.approx(2.54 / 127)
    assert stored(after, quantise.input[1]).shape == ()


def test_weights_are_quantised_per_output_channel_and_round_to_within_half_a_step() -> None:
    after = quantised(product(), x=1.0)
    (weight,) = (n for n in made_by(after, "DequantizeLinear") if n.input[0] != "x/quantized")
    values, scale, zero = (stored(after, name) for name in weight.input)
    np.testing.assert_allclose(scale, np.abs(WEIGHT).max(0) / 127, rtol=1e-6)
    assert (values.dtype, zero.dtype, zero.shape) == (np.int8, np.int8, scale.shape)
    assert values.min() >= -127
    assert not zero.any()
    assert (np.abs(values * scale - WEIGHT) <= scale / 2 * 1.0001).all()


def test_the_channel_axis_follows_transb_and_conv() -> None:
    rows = np.diag(np.arange(1, 9, dtype=np.float32))
    gemm = model([node("Gemm", "x w", "y", transB=1)], {"w": rows + 0.0}, [value("x", ("batch", 8))], [value("y", ("batch", 8))])
    gemm.graph.initializer[0].CopyFrom(numpy_helper.from_array(rows[:4], "w"))
    gemm.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 4
    kernel = np.random.default_rng(0).normal(size=(5, 4, 3, 3)).astype(np.float32)
    image, out = value("x", ("batch", 4, 8, 8)), value("y", ("batch", 5, 8, 8))
    conv = model([node("Conv", "x w", "y", pads=[1, 1, 1, 1])], {"w": kernel}, [image], [out])
    for graph, channels, weight in ((gemm, 4, rows[:4]), (conv, 5, kernel)):
        after = quantised(graph, x=4.0)
        (restored,) = (n for n in made_by(after, "DequantizeLinear") if n.input[0] != "x/quantized")
        assert next(a.i for a in restored.attribute if a.name == "axis") == 0
        scale = stored(after, restored.input[1])
        np.testing.assert_allclose(scale, np.abs(weight).reshape(channels, -1).max(1) / 127, rtol=1e-6)
        given = feeds(graph, 2)
        step = float(np.abs(run(graph, given)["y"]).max()) / 20
        np.testing.assert_allclose(run(after, given)["y"], run(graph, given)["y"], atol=step)


def test_a_tensor_that_two_products_read_gets_one_q_and_each_reader_its_own_dq() -> None:
    """ONNX Runtime fuses a DQ into a product only where that alone reads it."""
    nodes = [node("MatMul", "x w", "a"), node("MatMul", "x v", "b"), node("Add", "a b", "y")]
    graph = model(nodes, {"w": WEIGHT, "v": WEIGHT * 2})
    assert activations(graph) == ["x"]
    after = quantised(graph, x=3.0)
    assert len(made_by(after, "QuantizeLinear")) == 1
    assert {n.input[0] for n in made_by(after, "MatMul")} == {"x/dequantized", "x/dequantized_1"}


def test_the_other_readers_of_a_quantised_tensor_keep_it_as_it_is() -> None:
    nodes = [node("Relu", "x", "h"), node("MatMul", "h w", "p"), node("Add", "h p", "y")]
    after = quantised(model(nodes, {"w": WEIGHT}), h=3.0)
    (add,) = made_by(after, "Add")
    assert add.input[0] == "h"


def test_two_products_may_share_one_weight() -> None:
    nodes = [node("MatMul", "x w", "h"), node("MatMul", "h w", "y")]
    graph = model(nodes, {"w": WEIGHT / 4})
    after = quantised(graph, x=4.0, h=8.0)
    given = feeds(graph, 2)
    np.testing.assert_allclose(run(after, given)["y"], run(graph, given)["y"], atol=0.3)


def test_products_of_two_activations_and_biases_stay_in_fp32() -> None:
    nodes = [
        node("Transpose", "x", "t", perm=[0, 2, 1]),
        node("MatMul", "x t", "s"),
        node("MatMul", "s x", "h"),
        node("MatMul", "h w", "p"),
    ]
    graph = model([*nodes, node("Add", "p b", "y")], {"w": WEIGHT, "b": WEIGHT[0]})
    assert activations(graph) == ["h"]
    after = quantised(graph, h=10.0)
    assert stored(after, "b").dtype == np.float32
    assert [list(n.input) for n in made_by(after, "MatMul")][:2] == [["x", "t"], ["s", "x"]]


def test_a_product_whose_input_has_no_range_stays_as_it_is() -> None:
    graph = model([node("MatMul", "x w", "h"), node("MatMul", "h w", "y")], {"w": WEIGHT})
    after = quantised(graph, h=10.0)
    assert [n.input[0] for n in made_by(after, "MatMul")] == ["x", "h/dequantized"]
    assert len(made_by(after, "QuantizeLinear")) == 1


def test_calibration_data_of_nothing_but_zeros_is_told() -> None:
    graph = model([node("MatMul", "x w", "y")], {"w": WEIGHT})
    with pytest.raises(UserError, match="zero on all calibration data"):
        insert_qdq(graph, ())


def test_a_channel_of_nothing_but_zeros_has_a_positive_scale() -> None:
    empty = WEIGHT.copy()
    empty[:, 3] = 0
    after = quantised(product(w=empty), x=1.0)
    (weight,) = (n for n in made_by(after, "DequantizeLinear") if n.input[0] != "x/quantized")
    assert (stored(after, weight.input[1]) > 0).all()
    given = feeds(after, 2)
    assert not run(after, given)["y"][..., 3].any()


def test_values_beyond_the_range_saturate_instead_of_wrapping() -> None:
    graph = model([node("MatMul", "x w", "y")], {"w": np.eye(8, dtype=np.float32)})
    after = quantised(graph, x=1.0)
    extreme = np.full((1, 4, 8), 5, np.float32) * np.array([1, -1] * 4, np.float32)
    np.testing.assert_allclose(run(after, {"x": extreme})["y"], np.clip(extreme, -128 / 127, 1), atol=1e-5)


def test_a_weight_in_a_constant_node_is_quantised() -> None:
    weight = onnx.helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(WEIGHT))
    after = quantised(model([weight, node("MatMul", "x w", "y")]), x=1.0)
    assert len(made_by(after, "DequantizeLinear")) == 2


def test_a_graph_older_than_opset_13_is_raised_to_it() -> None:
    graph = model([node("MatMul", "x w", "y")], {"w": WEIGHT}, opset=11)
    assert opset(quantised(graph, x=1.0)) == 13


def test_products_inside_a_branch_are_left_alone() -> None:
    graph = branch([node("MatMul", "x w", "t")], [node("Relu", "x", "e")], w=WEIGHT)
    assert activations(graph) == []


def test_a_graph_with_nothing_to_quantise_is_refused() -> None:
    with pytest.raises(UserError, match="no MatMul, Gemm or Conv with a constant float32 weight"):
        insert_qdq(model([node("Relu", "x", "y")]), ())


def test_the_argument_is_not_changed() -> None:
    graph = product()
    before = graph.SerializeToString(deterministic=True)
    quantised(graph, x=1.0)
    assert graph.SerializeToString(deterministic=True) == before


def test_the_shapes_of_a_quantised_graph_can_be_inferred() -> None:
    inferred = shape_inference.infer_shapes(quantised(product(), x=1.0), strict_mode=True)
    types = {v.name: v.type.tensor_type.elem_type for v in inferred.graph.value_info}
    assert types["x/quantized"] == TensorProto.INT8
