"""Shapes of an ONNX graph, where the sizes that an exporter computes from other shapes at run time are computed here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx

SMALL = 1024
"""Elements up to which a constant may be a shape or an axis; of larger ones the shape is enough."""
Array: TypeAlias = "npt.NDArray[Any]"


@dataclass(slots=True)
class Inference:
    """Node by node in the order of the file: onnx's own shape inference with the values known so far, onnx's reference for these values.

    onnx.shape_inference.infer_shapes alone loses the rank where a Reshape reads Concat(Slice(Shape(x)), -1), as torch's
    TorchScript exporter writes it.
    """

    opsets: dict[str, int]
    types: dict[str, onnx.TypeProto] = field(default_factory=dict)
    values: dict[str, Array] = field(default_factory=dict)

    def graph(self, graph: onnx.GraphProto) -> None:
        """Add the types of all values of `graph`, bodies included."""
        import onnx

        for value in (*graph.input, *graph.value_info, *graph.output):
            if _known(value.type) or value.name not in self.types:
                self.types[value.name] = value.type
        for tensor in graph.initializer:
            self.types[tensor.name] = onnx.helper.make_tensor_type_proto(tensor.data_type, list(tensor.dims))
            if math.prod(tensor.dims) <= SMALL and not tensor.external_data:
                self.values[tensor.name] = onnx.numpy_helper.to_array(tensor)
        for node in graph.node:
            self._node(node)

    def _node(self, node: onnx.NodeProto) -> None:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                self._enter(node, attribute.g)
        if not all(name in self.types or not name for name in node.input):
            return
        for name, kind in self._outputs(node).items():
            if _known(kind) or name not in self.types:
                self.types[name] = kind
        for name, value in self._evaluated(node):
            self.values[name] = value
            self.types[name] = _type_of(value)

    def _enter(self, node: onnx.NodeProto, body: onnx.GraphProto) -> None:
        """A Loop hands its third and later inputs to its body."""
        import onnx

        if node.op_type == "Loop":
            for inside, outside in zip(body.input[2:], node.input[2:], strict=False):
                known = self.types.get(outside)
                if known is not None and not _known(inside.type):
                    inside.type.CopyFrom(known)
        try:
            self.graph(body)
        except onnx.shape_inference.InferenceError:
            return

    def _outputs(self, node: onnx.NodeProto) -> dict[str, onnx.TypeProto]:
        import onnx

        data = {name: onnx.numpy_helper.from_array(self.values[name], name) for name in node.input if name in self.values}
        kinds = {name: self.types[name] for name in node.input if name}
        opsets = [onnx.helper.make_opsetid(domain, version) for domain, version in self.opsets.items()]
        try:
            schema = onnx.defs.get_schema(node.op_type, self.opsets.get(node.domain, 1), node.domain)
            return dict(onnx.shape_inference.infer_node_outputs(schema, node, kinds, data, opset_imports=opsets, ir_version=8))
        except Exception:  # no such operator here, or shapes that contradict each other: what follows stays unknown
            return {}

    def _evaluated(self, node: onnx.NodeProto) -> Iterator[tuple[str, Array]]:
        """The outputs' values where every input has one, or their shapes are all that is asked for."""
        import numpy as np

        if node.op_type == "Shape" and node.input and not node.attribute:
            shape = shape_of(self.types.get(node.input[0]))
            if shape is not None:
                yield node.output[0], np.array(shape, np.int64)
            return
        if not all(name in self.values or not name for name in node.input) or any(attribute.HasField("g") for attribute in node.attribute):
            return
        sizes = [shape_of(self.types.get(name)) for name in node.output]
        if any(size is not None and math.prod(size) > SMALL for size in sizes) or node.op_type.startswith("Random"):
            return
        try:
            yield from zip(node.output, self._run(node), strict=False)
        except Exception:  # the reference lacks this operator or version
            return

    def _run(self, node: onnx.NodeProto) -> list[Array]:
        import numpy as np
        import onnx
        from onnx.reference import ReferenceEvaluator

        empty = onnx.TypeProto()
        inputs = [onnx.helper.make_value_info(name, self.types[name]) for name in dict.fromkeys(node.input) if name]
        outputs = [onnx.helper.make_value_info(name, self.types.get(name, empty)) for name in node.output]
        model = onnx.helper.make_model(
            onnx.helper.make_graph([node], "one", inputs, outputs),
            opset_imports=[onnx.helper.make_opsetid(domain, version) for domain, version in self.opsets.items()],
        )
        found = ReferenceEvaluator(model).run(None, {name: self.values[name] for name in node.input if name})
        return [np.asarray(value) for value in found if np.size(value) <= SMALL]


def shape_of(kind: onnx.TypeProto | None) -> tuple[int, ...] | None:
    """The dimensions, None where the rank or one of them is unknown."""
    if kind is None or not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
        return None
    dims = kind.tensor_type.shape.dim
    return tuple(dim.dim_value for dim in dims) if all(dim.HasField("dim_value") and dim.dim_value >= 0 for dim in dims) else None


def _known(kind: onnx.TypeProto) -> bool:
    return shape_of(kind) is not None


@cache
def _element_type(dtype: str) -> int:
    import numpy as np
    import onnx

    return int(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def _type_of(value: Array) -> onnx.TypeProto:
    import onnx

    return onnx.helper.make_tensor_type_proto(_element_type(value.dtype.str), list(value.shape))
