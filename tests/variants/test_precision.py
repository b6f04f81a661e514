"""How one sees that a precision really happened."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.variants.graphs import branch, model, node, value
from variants.precision import carries

HALF = TensorProto.FLOAT16
RELU = node("Relu", "x", "y")
CARRIERS = {
    "a parameter": model([node("Cast", "h", "s", to=TensorProto.FLOAT), node("Add", "x s", "y")], {"h": np.ones(8, np.float16)}),
    "a Constant node": model(
        [
            helper.make_node("Constant", [], ["h"], value=numpy_helper.from_array(np.ones(8, np.float16))),
            node("Cast", "h", "s", to=TensorProto.FLOAT),
            node("Add", "x s", "y"),
        ]
    ),
    "a Cast": model([node("Cast", "x", "h", to=HALF), node("Cast", "h", "y", to=TensorProto.FLOAT)]),
    "a Cast inside a branch": branch(
        [node("Cast", "x", "h", to=HALF), node("Cast", "h", "t", to=TensorProto.FLOAT)], [node("Relu", "x", "e")]
    ),
}


@pytest.mark.parametrize("carrier", CARRIERS)
def test_an_element_type_is_seen_wherever_it_is_carried(carrier: str) -> None:
    assert carries(CARRIERS[carrier], HALF)
    assert not carries(CARRIERS[carrier], TensorProto.INT8)


def test_an_element_type_that_q_makes_without_a_zero_point_is_seen() -> None:
    quantise = node("QuantizeLinear", "x scale", "q", output_dtype=TensorProto.INT8)
    graph = model([quantise, node("DequantizeLinear", "q scale", "y")], {"scale": np.float32(1)}, opset=21)
    assert carries(graph, TensorProto.INT8)


def test_an_integer_attribute_of_another_node_is_not_an_element_type() -> None:
    graph = model([node("Softmax", "x", "y", axis=1)])
    assert not carries(graph, TensorProto.FLOAT)


def test_a_graph_without_parameters_carries_nothing() -> None:
    graph = model([RELU], inputs=[value("x")])
    assert not any(carries(graph, dtype) for dtype in onnx.TensorProto.DataType.values())
