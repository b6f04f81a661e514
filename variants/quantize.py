"""Explicit int8 Q/DQ around matrix products and convolutions by constants, as TensorRT fuses it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from common.errors import UserError
from variants.calibration import Ranges
from variants.graph import constant, exported, with_opset
from variants.keep import Keep
from variants.variant import Array

LARGEST = 127
OPSET = 13
"""Q/DQ scale per channel since opset 13."""


@dataclass(frozen=True, slots=True)
class Product:
    """A node with a weight known ahead of time; `axis` is the weight's output channel."""

    node: gs.Node
    weight: Array
    axis: int


def products(graph: gs.Graph) -> Iterator[Product]:
    """MatMul, Gemm and Conv with a constant float weight; products of two activations (attention scores) stay as they are."""
    for node in graph.nodes:
        if node.op not in ("MatMul", "Gemm", "Conv"):
            continue
        weight = constant(node.inputs[1])
        if weight is None or weight.dtype != np.float32 or (node.op == "MatMul" and weight.ndim != 2):
            continue
        transposed = node.op == "Conv" or node.attrs.get("transB", 0)
        yield Product(node, weight, 0 if transposed else weight.ndim - 1)


def activations(model: onnx.ModelProto) -> list[str]:
    """The tensors that need a range, each once, in graph order."""
    return list(dict.fromkeys(product.node.inputs[0].name for product in products(gs.import_onnx(model))))


def insert_qdq(model: onnx.ModelProto, ranges: Ranges, keep: Keep = frozenset()) -> onnx.ModelProto:
    """Quantise inputs per tensor by `ranges` and weights per channel, symmetric, every zero point 0 (int8).

    A product whose input has no range, or whose node is in `keep`, stays as it is. Outputs and biases stay in the high
    precision: TensorRT fuses DQ-product-bias, and a Q after the product would only add an error. Raises UserError when the
    graph has nothing to quantise.
    """
    graph = with_opset(gs.import_onnx(onnx.ModelProto.FromString(model.SerializeToString())), OPSET)
    limits = {entry.tensor: entry.limit for entry in ranges}
    every = list(products(graph))
    found = [product for product in every if product.node.inputs[0].name in limits and product.node.name not in keep]
    if every and not found:
        raise UserError("int8: what every product reads is zero on all calibration data: give inputs as the model will meet them")
    if not found:
        raise UserError("int8: the graph has no MatMul, Gemm or Conv with a constant float32 weight to quantise")
    pairs: dict[str, gs.Tensor] = {}
    for product in found:
        source = product.node.inputs[0]
        if source.name not in pairs:
            pairs[source.name] = _quantised_activation(graph, source, limits[source.name] / LARGEST)
        product.node.inputs[0] = pairs[source.name]
        product.node.inputs[1] = _quantised_weight(graph, product)
    return exported(graph)


def _quantised_activation(graph: gs.Graph, source: gs.Tensor, scale: float) -> gs.Tensor:
    name = source.name
    scale_tensor = gs.Constant(f"{name}/qdq_scale", np.array(scale, np.float32))
    zero = gs.Constant(f"{name}/qdq_zero", np.array(0, np.int8))
    quantised = gs.Variable(f"{name}/quantized", np.int8)
    restored = gs.Variable(f"{name}/dequantized", np.float32)
    graph.nodes.append(gs.Node("QuantizeLinear", f"{name}/QuantizeLinear", {}, [source, scale_tensor, zero], [quantised]))
    graph.nodes.append(gs.Node("DequantizeLinear", f"{name}/DequantizeLinear", {}, [quantised, scale_tensor, zero], [restored]))
    return restored


def _quantised_weight(graph: gs.Graph, product: Product) -> gs.Tensor:
    name, axis = f"{product.node.outputs[0].name}/weight", product.axis
    others = tuple(i for i in range(product.weight.ndim) if i != axis)
    scale = np.maximum(np.abs(product.weight).max(axis=others) / LARGEST, np.finfo(np.float32).tiny).astype(np.float32)
    shape = [-1 if i == axis else 1 for i in range(product.weight.ndim)]
    values = np.clip(np.rint(product.weight / scale.reshape(shape)), -LARGEST, LARGEST).astype(np.int8)
    inputs = [
        gs.Constant(f"{name}_int8", values),
        gs.Constant(f"{name}_scale", scale),
        gs.Constant(f"{name}_zero", np.zeros(scale.shape, np.int8)),
    ]
    restored = gs.Variable(f"{name}_dequantized", np.float32)
    graph.nodes.append(gs.Node("DequantizeLinear", f"{name}_DequantizeLinear", {"axis": axis}, inputs, [restored]))
    return restored
