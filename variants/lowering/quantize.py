"""Explicit Q/DQ in the form that TensorRT fuses: symmetric, a scale a tensor for activations, a scale a channel for weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import TensorProto, helper, numpy_helper
from onnx_graphsurgeon.ir.tensor import LazyValues

from common.errors import UserError
from variants.graph import exported, shaped, with_opset
from variants.lowering.calibration import Ranges
from variants.lowering.keep import NONE, Keep
from variants.lowering.placement import EVERYWHERE, Placement, Product
from variants.variant import Array


@dataclass(frozen=True, slots=True)
class Code:
    """The numbers that values are quantised to: `largest` is the greatest, `opset` the first in which Q/DQ know the type."""

    name: str
    dtype: int
    largest: float
    opset: int

    def encoded(self, values: Array) -> Array:
        """`values`, already divided by their scale, as such numbers; beyond the largest they saturate."""
        clipped = np.clip(values, -self.largest, self.largest)
        whole = self.dtype in (TensorProto.INT8, TensorProto.INT4)
        encoded: Array = (np.rint(clipped) if whole else clipped).astype(helper.tensor_dtype_to_np_dtype(self.dtype))
        return encoded


INT8 = Code("int8", TensorProto.INT8, 127, 13)
"""-127 to 127: with -128 the type would not be symmetric. Q/DQ take a scale per channel since opset 13."""
INT4 = Code("int4", TensorProto.INT4, 7, 21)
FP8 = Code("fp8", TensorProto.FLOAT8E4M3FN, 448, 19)


def stored(name: str, values: Array) -> gs.Constant:
    """A constant of any element type, those that numpy lacks included."""
    return gs.Constant(name, LazyValues(numpy_helper.from_array(values, name)))


def activations(model: onnx.ModelProto, placement: Placement = EVERYWHERE) -> list[str]:
    """The tensors that need a range, each once, in graph order."""
    return list(dict.fromkeys(read.tensor.name for read in placement.reads(shaped(model))))


def insert_qdq(
    model: onnx.ModelProto,
    ranges: Ranges,
    keep: Keep = NONE,
    code: Code = INT8,
    placement: Placement = EVERYWHERE,
) -> onnx.ModelProto:
    """Quantise activations per tensor by `ranges` and weights per channel, symmetric, every zero point 0.

    A tensor has one Q however many read it, and each reader a DQ of its own: ONNX Runtime fuses a DQ only where its product
    alone reads it, TensorRT takes both forms. A node whose activation has no range, or that is in `keep`, stays as it is.
    Raises UserError when the graph has nothing to quantise.
    """
    graph = with_opset(shaped(model), code.opset)
    limits = {entry.tensor: entry.limit for entry in ranges}
    reads = [read for read in placement.reads(graph, keep) if read.tensor.name in limits]
    reading = {id(read.node) for read in reads}
    found = [product for product in placement.products(graph, keep) if id(product.node) in reading]
    if not found:
        raise _nothing(placement.products(graph), keep, code)
    quantised: dict[str, gs.Tensor] = {}
    for read in reads:
        source = read.tensor
        if source.name not in quantised:
            quantised[source.name] = _quantise(graph, source, limits[source.name] / code.largest, code)
        read.node.inputs[read.place] = _dequantise(graph, quantised[source.name])
    for product in found:
        product.node.inputs[1] = quantised_weight(graph, product, code)
    return exported(graph)


def quantised_weight(graph: gs.Graph, product: Product, code: Code) -> gs.Tensor:
    """The weight by way of a DQ with one scale an output channel. A channel of zeros has scale 1: a tiny one is 0 in fp16."""
    name, axis = f"{product.node.outputs[0].name}/weight", product.axis
    others = tuple(i for i in range(product.weight.ndim) if i != axis)
    largest = np.abs(product.weight).max(axis=others)
    scale = np.where(largest > 0, largest / code.largest, 1).astype(np.float32)
    shape = [-1 if i == axis else 1 for i in range(product.weight.ndim)]
    values = code.encoded(product.weight / scale.reshape(shape))
    zeros = np.zeros(scale.shape, values.dtype)
    inputs = [stored(f"{name}_{code.name}", values), gs.Constant(f"{name}_scale", scale), stored(f"{name}_zero", zeros)]
    restored = gs.Variable(f"{name}_dequantized", np.float32)
    graph.nodes.append(gs.Node("DequantizeLinear", f"{name}_DequantizeLinear", {"axis": axis}, inputs, [restored]))
    return restored


def _quantise(graph: gs.Graph, source: gs.Tensor, scale: float, code: Code) -> gs.Tensor:
    name = source.name
    zero = code.encoded(np.zeros((), np.float32))
    inputs = [source, gs.Constant(f"{name}/qdq_scale", np.array(scale, np.float32)), stored(f"{name}/qdq_zero", zero)]
    quantised = gs.Variable(f"{name}/quantized")
    graph.nodes.append(gs.Node("QuantizeLinear", f"{name}/QuantizeLinear", {}, inputs, [quantised]))
    return quantised


def _dequantise(graph: gs.Graph, quantised: gs.Tensor) -> gs.Tensor:
    (quantise,) = quantised.inputs
    count = len(quantised.outputs)
    name = f"{quantise.inputs[0].name}/{{}}{f'_{count}' if count else ''}"
    restored = gs.Variable(name.format("dequantized"), np.float32)
    inputs = [quantised, *quantise.inputs[1:]]
    graph.nodes.append(gs.Node("DequantizeLinear", name.format("DequantizeLinear"), {}, inputs, [restored]))
    return restored


def _nothing(every: list[Product], keep: Keep, code: Code) -> UserError:
    if every and all(product.node.name in keep for product in every):
        return UserError(f"{code.name}: every product is kept high, so nothing is left to quantise; keep fewer nodes")
    if every:
        return UserError(f"{code.name}: what every product reads is zero on all calibration data: give inputs as the model will meet them")
    return UserError(f"{code.name}: the graph has no MatMul, Gemm or Conv with a constant float32 weight to quantise")
