"""Weights alone in 8 or 4 bits: half, or a quarter, of fp16's bytes; activations and arithmetic stay as they are.

It pays where a product waits for its weights (few rows: decoding, batch 1). TensorRT takes both by way of a DQ and INT4 for
weights only; 4-bit ones want a scale a block of the summed axis (ONNX opset 21), 8-bit ones a scale an output channel.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from common.errors import UserError
from variants.explain import decline
from variants.graph import exported, shaped, with_opset
from variants.lowering.calibration import Ranges
from variants.lowering.keep import NONE, Keep
from variants.lowering.placement import MATRICES, Product
from variants.lowering.quantize import INT4, INT8, Code, quantised_weight, stored
from variants.precision import Apply

Weight = Callable[[gs.Graph, Product], "gs.Tensor | None"]


def channelwise(model: onnx.ModelProto, _: Ranges, keep: Keep = NONE) -> onnx.ModelProto:
    """int8, one scale an output channel. Raises UserError when there is no product by a constant."""
    return _insert(model, keep, INT8, lambda graph, product: quantised_weight(graph, product, INT8))


def blockwise(size: int) -> Apply:
    """int4, one scale a block of `size` rows; a weight whose rows are no multiple of it stays as it is."""

    def apply(model: onnx.ModelProto, _: Ranges, keep: Keep = NONE) -> onnx.ModelProto:
        return _insert(model, keep, INT4, lambda graph, product: _blocked(graph, product, size))

    return apply


def _insert(model: onnx.ModelProto, keep: Keep, code: Code, weight: Weight) -> onnx.ModelProto:
    graph = with_opset(shaped(model), code.opset)
    done = 0
    for product in MATRICES.products(graph, keep):
        quantised = weight(graph, product)
        if quantised is not None:
            product.node.inputs[1] = quantised
            done += 1
    if not done:
        raise UserError(f"{code.name} weights: the graph has no MatMul or Gemm with a constant float32 weight to quantise that is not kept")
    return exported(graph)


def _blocked(graph: gs.Graph, product: Product, size: int) -> gs.Tensor | None:
    name, axis, weight = f"{product.node.outputs[0].name}/weight", product.summed, product.weight
    rows = weight.shape[axis]
    if rows % size:
        decline(product.node.name, f"its {rows} rows are no multiple of the block of {size}: the weight stays in fp32")
        return None
    blocks = np.moveaxis(weight, axis, 0).reshape(rows // size, size, -1)
    largest = np.abs(blocks).max(axis=1)
    scale = np.where(largest > 0, largest / INT4.largest, 1).astype(np.float32)
    values = (blocks / scale[:, None]).reshape(rows, -1)
    inputs = [
        stored(f"{name}_int4", INT4.encoded(np.ascontiguousarray(np.moveaxis(values, 0, axis)))),
        gs.Constant(f"{name}_scale", np.ascontiguousarray(np.moveaxis(scale, 0, axis))),
    ]
    restored = gs.Variable(f"{name}_dequantized", np.float32)
    attributes = {"axis": axis, "block_size": size}
    graph.nodes.append(gs.Node("DequantizeLinear", f"{name}_DequantizeLinear", attributes, inputs, [restored]))
    return restored
