"""Questions that passes and precisions ask of a GraphSurgeon graph."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import version_converter

from common.errors import UserError
from variants import heavy
from variants.functions import carried
from variants.variant import Array


def constant(tensor: gs.Tensor) -> Array | None:
    """The value of `tensor` when it is known ahead of time, through Constant and Identity nodes; else None."""
    if isinstance(tensor, gs.Constant):
        return np.asarray(tensor.values)
    if len(tensor.inputs) != 1:
        return None
    node = tensor.inputs[0]
    if node.op == "Constant":
        value = node.attrs.get("value")
        return None if value is None else np.asarray(value.values)
    return constant(node.inputs[0]) if node.op == "Identity" else None


def scalar(tensor: gs.Tensor) -> float | None:
    """The value of a constant of one element, else None."""
    value = constant(tensor)
    return float(value.ravel()[0]) if value is not None and value.size == 1 else None


def split_constant(node: gs.Node) -> tuple[gs.Tensor, Array] | None:
    """The (variable, constant value) inputs of a commutative two-input node in either order, or None."""
    first, second = node.inputs
    for variable, other in ((first, second), (second, first)):
        value = constant(other)
        if value is not None and constant(variable) is None:
            return variable, value
    return None


def only_consumer(graph: gs.Graph, tensor: gs.Tensor, op: str) -> gs.Node | None:
    """The node of type `op` that alone reads `tensor`; None when something else does, graph outputs included."""
    if len(tensor.outputs) != 1 or any(tensor is output for output in graph.outputs):
        return None
    node = tensor.outputs[0]
    return node if node.op == op else None


def with_opset(graph: gs.Graph, opset: int) -> gs.Graph:
    """The graph at no less than `opset`, converted by onnx's version converter where it is older."""
    if graph.opset >= opset:
        return graph
    named = all(node.name for node in graph.nodes)
    try:
        made = heavy.converted(graph, lambda model: version_converter.convert_version(model, opset))
    except Exception as error:  # ConvertError and its relatives share no public base
        reason = str(error).strip().splitlines()[-1]
        raise UserError(f"the graph cannot be raised from opset {graph.opset} to {opset} ({reason}): export it at opset {opset}") from error
    for node in made.nodes if named else []:
        node.name = node.name or f"{node.outputs[0].name}/{node.op}"  # the converter's own Constants have none
    made.functions = carried(graph.functions, opset)
    return made


def exported(graph: gs.Graph) -> onnx.ModelProto:
    """The model of a graph, what nothing reads left out, in topological order."""
    return heavy.exported(graph.cleanup().toposort())


def with_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `model` with every shape that onnx can infer."""
    light, held = heavy.set_aside(model)
    return heavy.put_back(onnx.shape_inference.infer_shapes(light), held)


def shaped(model: onnx.ModelProto) -> gs.Graph:
    """`model` as a GraphSurgeon graph with every shape that onnx can infer; it reads large weights from `model`, which must live on."""
    light, held = heavy.set_aside(model)
    return heavy.imported(onnx.shape_inference.infer_shapes(light), held)


def graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph and all bodies inside its nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for body in (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs):
                yield from graphs(body)
