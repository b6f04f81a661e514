"""Weights alone in few bits, and products in ONNX Runtime's integer operators."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from common.errors import UserError
from tests.variants.graphs import feeds, model, node, opset, run, value
from variants.explain import listening
from variants.lowering.calibration import Range
from variants.lowering.integer import insert_integer
from variants.lowering.quantize import insert_qdq
from variants.precisions.int4_weights import int4_weights
from variants.precisions.int8_entropy import int8_entropy
from variants.precisions.int8_weights import int8_weights

WIDTH = 64
ROWS = [value("x", ("batch", 4, WIDTH))], [value("y", ("batch", 4, WIDTH))]
WEIGHT = np.random.default_rng(2).normal(size=(WIDTH, WIDTH)).astype(np.float32)
BIAS = np.linspace(-3, 3, WIDTH, dtype=np.float32)


def product(weight: np.ndarray = WEIGHT) -> onnx.ModelProto:
    return model([node("MatMul", "x w", "h"), node("Add", "h b", "y")], {"w": weight, "b": BIAS}, *ROWS)


def stored(graph: onnx.ModelProto, dtype: int) -> list[np.ndarray]:
    return [numpy_helper.to_array(t) for t in graph.graph.initializer if t.data_type == dtype]


@pytest.mark.parametrize("size", [32, 64])
def test_int4_has_a_scale_a_block_of_rows_and_rounds_to_half_a_step(size: int) -> None:
    precision = int4_weights.at(str(size))
    assert precision is not None
    after = precision.apply(product(), ())
    onnx.checker.check_model(after, full_check=True)
    assert opset(after) == 21
    (values,) = stored(after, TensorProto.INT4)
    (restored,) = (made for made in after.graph.node if made.op_type == "DequantizeLinear")
    scale = next(numpy_helper.to_array(t) for t in after.graph.initializer if t.name == restored.input[1])
    assert scale.shape == (WIDTH // size, WIDTH)
    np.testing.assert_allclose(scale, np.abs(WEIGHT.reshape(-1, size, WIDTH)).max(1) / 7, rtol=1e-6)
    steps = np.repeat(scale, size, 0)
    assert (np.abs(values.astype(np.float32) * steps - WEIGHT) <= steps / 2 * 1.001).all()


@pytest.mark.parametrize(("precision", "step"), [(int8_weights, 127), (int4_weights, 7)])
@pytest.mark.parametrize("transposed", [False, True])
def test_products_are_as_close_as_their_weights(precision: object, step: int, transposed: bool) -> None:
    flat = [value("x", ("batch", WIDTH))], [value("y", ("batch", WIDTH))]
    graph = model([node("Gemm", "x w b", "y", transB=int(transposed))], {"w": WEIGHT, "b": BIAS}, *flat)
    after = precision.apply(graph, ())  # type: ignore[attr-defined]
    given = feeds(graph, 3)
    expected = run(graph, given)["y"]
    bound = np.abs(WEIGHT).max() / step / 2 * np.abs(given["x"]).sum(-1, keepdims=True)
    assert (np.abs(run(after, given)["y"] - expected) <= bound).all()
    assert not np.allclose(run(after, given)["y"], expected, atol=1e-4)


def test_rows_that_are_no_multiple_of_the_block_are_left_alone_and_said_so() -> None:
    narrow = model([node("MatMul", "x w", "y")], {"w": np.ones((8, 8), np.float32)})
    with listening() as said, pytest.raises(UserError, match="int4 weights: the graph has no MatMul"):
        int4_weights.apply(narrow, ())
    assert said == ["make_y: its 8 rows are no multiple of the block of 32: the weight stays in fp32"]
    assert int4_weights.at("48") is None


def test_no_activation_is_quantised_with_weights_alone() -> None:
    for precision in (int8_weights, int4_weights):
        assert "QuantizeLinear" not in {made.op_type for made in precision.apply(product(), ()).graph.node}


def test_integer_products_compute_what_qdq_does_with_the_bias_inside() -> None:
    graph = product()
    after = insert_integer(graph, (Range("x", 3.0),))
    assert [made.op_type for made in after.graph.node] == ["QuantizeLinear", "MatMulIntegerToFloat"]
    given = feeds(graph, 3)
    np.testing.assert_allclose(run(after, given)["y"], run(insert_qdq(graph, (Range("x", 3.0),)), given)["y"], atol=0.02)


def test_a_product_that_two_nodes_read_keeps_its_add() -> None:
    graph = model([node("MatMul", "x w", "h"), node("Add", "h b", "s"), node("Add", "s h", "y")], {"w": WEIGHT, "b": BIAS}, *ROWS)
    after = insert_integer(graph, (Range("x", 3.0),))
    assert [made.op_type for made in after.graph.node].count("Add") == 2
    given = feeds(graph, 3)
    np.testing.assert_allclose(run(after, given)["y"], run(insert_qdq(graph, (Range("x", 3.0),)), given)["y"], atol=0.04)


def test_an_add_of_a_whole_matrix_is_no_bias() -> None:
    matrix = np.ones((4, WIDTH), np.float32)
    graph = model([node("MatMul", "x w", "h"), node("Add", "h b", "y")], {"w": WEIGHT, "b": matrix}, *ROWS)
    assert [made.op_type for made in insert_integer(graph, (Range("x", 3.0),)).graph.node][-1] == "Add"


def test_the_integer_form_says_whose_operators_it_writes() -> None:
    chosen = int8_entropy.at("integer")
    assert chosen is not None
    assert (chosen.domain, int8_entropy.domain) == ("com.microsoft", "")
    assert chosen.at("attention") is None, "the two forms do not go together"
