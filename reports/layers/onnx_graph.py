"""An ONNX file as the attribution needs it: nodes with their modules, and tensors with their shapes; weights are never read."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import UserError
from reports.layers.layer import Layer
from reports.layers.onnx_shapes import Inference, shape_of

if TYPE_CHECKING:
    import onnx

SCOPES = "pkg.torch.onnx.name_scopes"
VALUE_FREE = ("Shape", "Size")
"""Their output depends on the shape of the input alone."""


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor: its shape, None where unknown, the bits of one element, and whether it is a floating-point one."""

    shape: tuple[int, ...] | None
    bits: int = 32
    floating: bool = True

    @property
    def elements(self) -> int | None:
        """None where the shape is unknown."""
        return None if self.shape is None else math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Node:
    """One ONNX node; `parent` is the Loop, If or Scan whose body holds it, `kernel` the window of a pooling (1 elsewhere)."""

    name: str
    type: str
    module: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parent: str = ""
    transposed: bool = False
    kernel: int = 1
    equation: str = ""
    axes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class OnnxGraph:
    """Nodes in the order of the file, bodies behind their node. `static` are the values that no input of the network reaches."""

    nodes: tuple[Node, ...]
    values: Mapping[str, Value]
    static: frozenset[str]
    outputs: frozenset[str] = frozenset()
    constants: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read(path: Path, sizes: Mapping[str, int] | None = None, layers: Sequence[Layer] = ()) -> OnnxGraph:
    """The graph in `path`, dynamic dimensions taken from `sizes` (by name), else from the tensors of `layers`, else 1 (noted).

    External data is not loaded. Raises UserError when the file cannot be read or is no ONNX model.
    """
    import onnx

    try:
        model = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}): give the ONNX file that the engine was built from") from error
    except Exception as error:  # protobuf's own exception types differ between its implementations
        raise UserError(f"{path}: not an ONNX model: give the ONNX file that the engine was built from") from error
    if not model.graph.node:
        raise UserError(f"{path}: an ONNX model without nodes: give the ONNX file that the engine was built from")
    try:
        return graph_of(model, sizes or {}, layers)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, MemoryError) as error:
        raise UserError(f"{path}: a damaged ONNX model ({type(error).__name__}): check it with onnx.checker and export it again") from error


def graph_of(model: onnx.ModelProto, sizes: Mapping[str, int], layers: Sequence[Layer] = ()) -> OnnxGraph:
    """See `read`; `model` is changed."""
    notes = _bind(model.graph, sizes, layers)
    inference = Inference({entry.domain: entry.version for entry in model.opset_import})
    inference.graph(model.graph)
    values = {name: _value(kind) for name, kind in inference.types.items() if kind.HasField("tensor_type")}
    constants = {
        name: float(value.reshape(-1)[0]) for name, value in inference.values.items() if value.size == 1 and value.dtype.kind in "fiu"
    }
    nodes: list[Node] = []
    static: set[str] = set()
    for graph, parent in _graphs(model.graph, ""):
        static.update(tensor.name for tensor in graph.initializer)
        nodes += [_node(node, parent) for node in graph.node]
    _spread(nodes, static)
    for tensor in (tensor for layer in layers for tensor in (*layer.inputs, *layer.outputs)):
        known = values.get(tensor.name)
        if tensor.shape and min(tensor.shape) >= 0 and (known is None or known.shape is None):
            values[tensor.name] = Value(tensor.shape, known.bits if known else 32, known.floating if known else True)
    outputs = frozenset(output.name for output in model.graph.output)
    return OnnxGraph(tuple(nodes), values, frozenset(static), outputs, constants, tuple(notes))


def module_of(name: str) -> str:
    """The source module in a node's name: "/encoder/layer.3/attention/self/MatMul" -> "encoder/layer.3/attention/self"."""
    bracketed = re.search(r"\[(/[^\]]*)\]$", name)
    inner = bracketed.group(1) if bracketed else name
    return "/".join(inner.strip("/").split("/")[:-1]) if inner.startswith("/") else ""


def _bind(graph: onnx.GraphProto, sizes: Mapping[str, int], layers: Sequence[Layer]) -> list[str]:
    """Give every dynamic dimension of an input a size; a sentence about those that were only assumed."""
    shapes = {t.name: t.shape for layer in layers for t in (*layer.inputs, *layer.outputs) if t.shape and min(t.shape) >= 0}
    found = dict(sizes)
    inputs = [value for value in graph.input if value.type.HasField("tensor_type")]
    for value in inputs:
        dims = value.type.tensor_type.shape.dim
        shape = shapes.get(value.name, ())
        if len(shape) == len(dims):
            for dim, size in zip(dims, shape, strict=True):
                found.setdefault(dim.dim_param, size) if dim.dim_param else None
                dim.dim_value = found.get(dim.dim_param, size)
    assumed = set()
    for value in inputs:
        for place, dim in enumerate(value.type.tensor_type.shape.dim):
            if dim.HasField("dim_value") and dim.dim_value > 0:
                continue
            label = dim.dim_param or f"{value.name}[{place}]"
            if label not in found:
                assumed.add(label)
            dim.dim_value = found.get(label, 1)
    return [f"taken as 1, since neither engine nor option says: {', '.join(sorted(assumed))}"] if assumed else []


def _graphs(graph: onnx.GraphProto, parent: str) -> Iterator[tuple[onnx.GraphProto, str]]:
    yield graph, parent
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g, _name(node))


def _value(kind: onnx.TypeProto) -> Value:
    return Value(shape_of(kind), *_width(kind.tensor_type.elem_type))


def _width(data_type: int) -> tuple[int, bool]:
    """Bits of one element and whether it is a floating-point one; 32 where the type is unknown."""
    import onnx

    name = onnx.TensorProto.DataType.Name(data_type) if data_type in onnx.TensorProto.DataType.values() else ""
    floating = "FLOAT" in name or name == "DOUBLE"
    number = re.search(r"\d+", name)
    return {"DOUBLE": 64, "BOOL": 8}.get(name, int(number.group()) if number else 32), floating


def _spread(nodes: Iterable[Node], static: set[str]) -> None:
    """Add what is computed from static values and shapes alone."""
    for node in nodes:
        if node.type in VALUE_FREE or (node.type == "Constant") or (node.inputs and all(name in static for name in node.inputs)):
            static.update(node.outputs)


def _name(node: onnx.NodeProto) -> str:
    """TensorRT's parser names a nameless node after its first output."""
    return str(node.name or (f"node_of_{node.output[0]}" if node.output else node.op_type))


def _node(node: onnx.NodeProto, parent: str) -> Node:
    if any(isinstance(text, bytes) for text in (node.name, node.op_type, *node.input, *node.output)):
        raise ValueError("a name is not UTF-8")
    given = {attribute.name: attribute for attribute in node.attribute}
    window = given["kernel_shape"].ints if "kernel_shape" in given else ()
    return Node(
        name=_name(node),
        type=node.op_type,
        module=_scoped(node) or module_of(_name(node)),
        inputs=tuple(name for name in node.input if name),
        outputs=tuple(name for name in node.output if name),
        parent=parent,
        transposed=bool(given["transA"].i) if "transA" in given else False,
        kernel=math.prod(window),
        equation=given["equation"].s.decode(errors="replace") if "equation" in given else "",
        axes=tuple(given["axes"].ints) if "axes" in given else (),
    )


def _scoped(node: onnx.NodeProto) -> str:
    """The module of torch's newer exporter: ["", "encoder", "encoder.layer.0", "add_3"] -> "encoder/layer.0"."""
    text = next((entry.value for entry in node.metadata_props if entry.key == SCOPES), "")
    try:
        scopes = ast.literal_eval(text) if text else []
    except (ValueError, SyntaxError, RecursionError):
        return ""
    parts, outer = [], ""
    for scope in scopes[:-1] if isinstance(scopes, list) else []:
        if isinstance(scope, str) and scope != outer:
            parts.append(scope.removeprefix(f"{outer}." if outer else ""))
            outer = scope
    return "/".join(parts)
