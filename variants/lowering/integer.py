"""Integer products in ONNX Runtime's own operators: the same numbers as Q/DQ, and the bias is added inside.

Its CPU turns DQ-MatMul by a constant into MatMulIntegerToFloat but leaves the bias an Add of its own over fp32, which for
vit_digits costs a seventh of the time that is left (docs/precisions.md). Activations are unsigned with zero point 128,
which is what ONNX Runtime makes of signed ones on x86, where the processor multiplies unsigned by signed bytes; values and
scales are those of symmetric int8.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from common.errors import UserError
from variants.explain import decline
from variants.graph import constant, exported, shaped, with_opset
from variants.lowering.calibration import Ranges
from variants.lowering.keep import NONE, Keep
from variants.lowering.placement import MATRICES, Product
from variants.lowering.quantize import INT8
from variants.variant import Array

DOMAIN = "com.microsoft"
OPERATOR = "MatMulIntegerToFloat"
MIDDLE = 128


def insert_integer(model: onnx.ModelProto, ranges: Ranges, keep: Keep = NONE) -> onnx.ModelProto:
    """Each MatMul by a constant, and the bias behind it, becomes QuantizeLinear and MatMulIntegerToFloat.

    Gemm and Conv stay as they are. Raises UserError when the graph has nothing to quantise.
    """
    graph = with_opset(shaped(model), INT8.opset)
    limits = {entry.tensor: entry.limit for entry in ranges}
    quantised: dict[str, gs.Tensor] = {}
    found = [product for product in MATRICES.products(graph, keep) if product.node.inputs[0].name in limits]
    for product in list(found):
        if product.node.op != "MatMul":
            decline(product.node.name, f"{product.node.op} has no integer form with a float output: it stays in fp32")
            found.remove(product)
    if not found:
        raise UserError("int8 in integer operators: the graph has no MatMul by a constant float32 weight left to quantise")
    for product in found:
        source = product.node.inputs[0]
        scale = limits[source.name] / INT8.largest
        if source.name not in quantised:
            quantised[source.name] = _quantise(graph, source, scale)
        _replace(graph, product, quantised[source.name], scale)
    made = exported(graph)
    if DOMAIN not in {entry.domain for entry in made.opset_import}:
        made.opset_import.append(onnx.helper.make_opsetid(DOMAIN, 1))
    return made


def _quantise(graph: gs.Graph, source: gs.Tensor, scale: float) -> gs.Tensor:
    name = source.name
    quantised = gs.Variable(f"{name}/quantized", np.uint8, source.shape)
    inputs = [source, _constant(f"{name}/scale", np.float32(scale)), _constant(f"{name}/zero", np.uint8(MIDDLE))]
    graph.nodes.append(gs.Node("QuantizeLinear", f"{name}/QuantizeLinear", {}, inputs, [quantised]))
    return quantised


def _replace(graph: gs.Graph, product: Product, quantised: gs.Tensor, scale: float) -> None:
    node, weight = product.node, product.weight
    bias = _bias(graph, node)
    largest = np.abs(weight).max(axis=0)
    scales = np.where(largest > 0, largest / INT8.largest, 1).astype(np.float32)
    name = f"{node.outputs[0].name}/weight"
    inputs = [
        quantised,
        gs.Constant(f"{name}_int8", INT8.encoded(weight / scales)),
        _constant(f"{name}_input_scale", np.float32(scale)),
        gs.Constant(f"{name}_scale", scales),
        _constant(f"{name}_input_zero", np.uint8(MIDDLE)),
        gs.Constant(f"{name}_zero", np.zeros(scales.shape, np.int8)),
    ]
    output = node.outputs[0]
    if bias is not None:
        add, values = bias
        inputs.append(gs.Constant(f"{name}_bias", values))
        output = add.outputs[0]
        add.outputs.clear()
    node.outputs.clear()
    graph.nodes.append(gs.Node(OPERATOR, node.name, {}, inputs, [output], domain=DOMAIN))


def _bias(graph: gs.Graph, node: gs.Node) -> tuple[gs.Node, Array] | None:
    """The Add of one value a column that alone reads the product, and the values."""
    output = node.outputs[0]
    columns = _columns(node)
    if len(output.outputs) != 1 or any(output is one for one in graph.outputs) or output.outputs[0].op != "Add":
        return None
    add = output.outputs[0]
    values = [value for tensor in add.inputs if tensor is not output and (value := constant(tensor)) is not None]
    return (add, values[0].reshape(-1)) if values and values[0].size == columns and values[0].shape[-1:] == (columns,) else None


def _columns(node: gs.Node) -> int:
    """How many values a row of the product has."""
    weight = constant(node.inputs[1])
    return 0 if weight is None else int(weight.shape[1])


def _constant(name: str, value: np.generic) -> gs.Constant:
    return gs.Constant(name, np.array(value))
