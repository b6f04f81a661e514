"""How big an ONNX graph is: the before and after of every pass."""

from __future__ import annotations

import math

import onnx

from reports.record import GraphSize
from variants.graph import graphs


def graph_size(model: onnx.ModelProto) -> GraphSize:
    """Nodes, distinct tensors and bytes of initializers and Constant nodes, bodies of Loop, If and Scan included."""
    nodes = tensors = size = 0
    for graph in graphs(model.graph):
        nodes += len(graph.node)
        names = {name for node in graph.node for name in (*node.input, *node.output) if name}
        tensors += len(names | {tensor.name for tensor in graph.initializer})
        constants = [a.t for node in graph.node if node.op_type == "Constant" for a in node.attribute if a.HasField("t")]
        size += sum(_bytes(tensor) for tensor in (*graph.initializer, *constants))
    return GraphSize(nodes, tensors, size)


def _bytes(tensor: onnx.TensorProto) -> int:
    if tensor.data_type == onnx.TensorProto.STRING:
        return sum(len(text) for text in tensor.string_data)
    half_byte = tensor.data_type in (onnx.TensorProto.INT4, onnx.TensorProto.UINT4, onnx.TensorProto.FLOAT4E2M1)
    bits = 4 if half_byte else int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize) * 8
    return int(math.prod(tensor.dims) * bits + 7) // 8
