"""The shapes and values of a graph whose inputs are of known size, by onnx's own rules, one node after the other.

`onnx.shape_inference.infer_shapes` stops at what it cannot compute, such as Where or Expand of a shape; here each node gets
the values of its inputs, so shape arithmetic is over after one walk.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.exporters.onnx_exporter import OnnxExporter, dtype_to_onnx

from variants.graph import constant
from variants.symbolic.evaluate import evaluate
from variants.variant import Array

MOST_BYTES = 2**24
"""Of a value that is computed ahead, unless its inputs are as large: what is expanded from a scalar need not be stored."""
KEPT = {"QuantizeLinear", "DequantizeLinear", "Dropout", "RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike"}
KEPT |= {"Bernoulli", "Multinomial"}
"""What is no constant though its inputs are, and what says in which precision a weight is stored."""
SMALL = 256
"""Elements that inference is told of: a shape has few."""


class Static:
    """Walks a graph in topological order; `values` are of tensors that nodes would have computed."""

    def __init__(self, graph: gs.Graph) -> None:
        self.opset = graph.opset
        self.imports = [onnx.helper.make_opsetid(domain, version) for domain, version in _imports(graph)]
        self.values: dict[int, Array] = {}

    def visit(self, node: gs.Node) -> None:
        """Give the outputs of `node` their shapes, and their values where they are known."""
        if node.op == "Constant" or not node.outputs:
            return
        self._infer(node)
        computed = self._value(node)
        for tensor, value in zip(node.outputs, computed or (), strict=False):
            self.values[id(tensor)] = value
            tensor.dtype, tensor.shape = value.dtype, value.shape

    def known(self, tensor: gs.Tensor) -> Array | None:
        """The value of a tensor, stored or computed here."""
        value = self.values.get(id(tensor))
        return constant(tensor) if value is None else value

    def is_known(self, tensor: gs.Tensor) -> bool:
        """Without reading a weight."""
        return id(tensor) in self.values or isinstance(tensor, gs.Constant) or constant(tensor) is not None

    def _value(self, node: gs.Node) -> Sequence[Array] | None:
        if node.op in ("Shape", "Size") and is_static(node.inputs[0]):
            sizes = np.array(node.inputs[0].shape, np.int64)
            return [np.array(prod(sizes.tolist()), np.int64) if node.op == "Size" else sizes[_part(node)]]
        if node.op in KEPT or not node.inputs or any(isinstance(value, gs.Graph) for value in node.attrs.values()):
            return None
        if not all(tensor.is_empty() or self.is_known(tensor) for tensor in node.inputs) or not self._is_small(node):
            return None
        return evaluate(node, [None if tensor.is_empty() else self.known(tensor) for tensor in node.inputs], self.opset)

    def _is_small(self, node: gs.Node) -> bool:
        given = max(_bytes(tensor) for tensor in node.inputs)
        return all(is_static(tensor) and _bytes(tensor) <= max(given, MOST_BYTES) for tensor in node.outputs)

    def _infer(self, node: gs.Node) -> None:
        try:
            found = self._outputs(node)
        except Exception:  # InferenceError, SchemaError and their relatives share no public base; what was known before stays
            return
        for tensor in node.outputs:
            if tensor.name in found:
                _take(tensor, found[tensor.name].tensor_type)

    def _outputs(self, node: gs.Node) -> dict[str, onnx.TypeProto]:
        schema = onnx.defs.get_schema(node.op, self.opset, node.domain or "")
        proto = OnnxExporter.export_node(node)
        types = {tensor.name: _type(tensor) for tensor in _read(node) if tensor.dtype is not None}
        data = {tensor.name: onnx.numpy_helper.from_array(value, tensor.name) for tensor, value in self._told(node)}
        if not any(getattr(schema, kind) for kind in ("has_function", "has_context_dependent_function")):
            return onnx.shape_inference.infer_node_outputs(schema, proto, types, data, opset_imports=self.imports)
        # infer_node_outputs says nothing of an operator that is defined as a function, such as GreaterOrEqual.
        inputs = [onnx.ValueInfoProto(name=name, type=kind) for name, kind in types.items()]
        graph = onnx.helper.make_graph([proto], "one", inputs, [], list(data.values()))
        graph.output.extend(onnx.ValueInfoProto(name=name) for name in proto.output if name)
        model = onnx.helper.make_model(graph, opset_imports=self.imports)
        return {value.name: value.type for value in onnx.shape_inference.infer_shapes(model).graph.output}

    def _told(self, node: gs.Node) -> Iterable[tuple[gs.Tensor, Array]]:
        for tensor in node.inputs:
            if not tensor.is_empty() and self.is_known(tensor) and is_static(tensor) and prod(tensor.shape) <= SMALL:
                value = self.known(tensor)
                if value is not None and value.dtype.kind in "iufb":
                    yield tensor, value


def is_static(tensor: gs.Tensor) -> bool:
    """Whether every dimension is a number."""
    return tensor.shape is not None and all(isinstance(size, int | np.integer) for size in tensor.shape)


def _part(node: gs.Node) -> slice:
    return slice(node.attrs.get("start", 0), node.attrs.get("end"))


def _imports(graph: gs.Graph) -> Iterable[tuple[str, int]]:
    domains = {entry.domain: entry.version for entry in graph.import_domains or ()}
    return ({"": graph.opset} | {domain: version for domain, version in domains.items() if domain not in ("", "ai.onnx")}).items()


def _read(node: gs.Node) -> Iterable[gs.Tensor]:
    """What a node reads, in its bodies, too."""
    yield from (tensor for tensor in node.inputs if not tensor.is_empty())
    for body in (value for value in node.attrs.values() if isinstance(value, gs.Graph)):
        for inner in body.nodes:
            yield from _read(inner)


def _type(tensor: gs.Tensor) -> onnx.TypeProto:
    return onnx.helper.make_tensor_type_proto(dtype_to_onnx(tensor.dtype), None if tensor.shape is None else list(tensor.shape))


def _bytes(tensor: gs.Tensor) -> int:
    return 0 if tensor.is_empty() or not is_static(tensor) else prod(tensor.shape) * np.dtype(tensor.dtype or np.float32).itemsize


def _take(tensor: gs.Tensor, found: Any) -> None:
    if found.elem_type:
        tensor.dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(found.elem_type))
    if found.HasField("shape"):
        tensor.shape = [size.dim_value if size.HasField("dim_value") else size.dim_param or None for size in found.shape.dim]
