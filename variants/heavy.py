"""Weights set aside while a graph is looked at: shape inference, conversion and import then cost nothing for them.

protobuf serialises at most 2 GiB, and onnx's C++ parts take a model serialised. None of them reads a large weight, so
they get one without its data, its type and shape in place, and the data is put back after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.exporters.onnx_exporter import dtype_to_onnx
from onnx_graphsurgeon.ir.tensor import LazyValues, SparseValues

HEAVY = 1024
"""Elements from which on a tensor is a weight: no shape, permutation or list of axes has as many."""
LIMIT = 2**31 - 2**20
"""Bytes that protobuf serialises, less what nodes and names need."""
EXTERNAL_ABOVE = 2_000_000_000
"""Bytes of weights from which on they lie beside a file; some of protobuf's limit is for the nodes."""
MARK = "set aside: "


def set_aside(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[onnx.TensorProto]]:
    """A copy of `model` whose heavy tensors (initializers and attributes, bodies included) have no data, and those tensors in order.

    The tensors are the model's own, not copies: leave them as they are.
    """
    held: list[onnx.TensorProto] = []
    light = onnx.ModelProto()
    for field, value in model.ListFields():
        if field.name != "graph":
            copy_field(light, field.name, value)
    _copy_graph(model.graph, light.graph, held)
    return light, held


def put_back(light: onnx.ModelProto, held: list[onnx.TensorProto]) -> onnx.ModelProto:
    """`light` itself, with the data of every tensor that is still in it."""
    for tensor in tensors(light.graph):
        if (place := _place(tensor)) is not None:
            _take(tensor, held[place])
    return light


def tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Every initializer and every tensor in an attribute, bodies included."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            for body in (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs):
                yield from tensors(body)


def data_bytes(model: onnx.ModelProto) -> int:
    """Of all tensors as stored; of a whole model above 2 GiB protobuf does not say it."""
    return sum(tensor.ByteSize() for tensor in tensors(model.graph))


def save(model: onnx.ModelProto, file: Path) -> None:
    """Write `model`; above protobuf's limit its weights lie in `<file>.data` beside it, and are taken out of `model` for that."""
    external = data_bytes(model) > EXTERNAL_ABOVE
    onnx.save(model, file, save_as_external_data=external, location=f"{file.name}.data" if external else None)


def imported(light: onnx.ModelProto, held: Sequence[Any]) -> gs.Graph:
    """The graph of `light`, its weights (tensors, or values of a graph) read from `held` when they are asked for."""
    graph = gs.import_onnx(light)
    for constant in _constants(graph):
        if isinstance(constant._values, LazyValues) and (place := _place(constant._values.tensor)) is not None:
            value = held[place]
            constant._values = LazyValues(value) if isinstance(value, onnx.TensorProto) else value
    return graph


def exported(graph: gs.Graph) -> onnx.ModelProto:
    """The model of a graph, with one copy of each weight and no more; GraphSurgeon alone makes two to four."""
    with _without(_constants(graph)) as values:
        model: onnx.ModelProto = gs.export_onnx(graph)
    for tensor in tensors(model.graph):
        place = _place(tensor)
        if place is None:
            continue
        value = values[place]
        if isinstance(value, LazyValues):
            _take(tensor, value.tensor)
        else:
            tensor.raw_data = value.tobytes()
            tensor.ClearField("doc_string")
    return model


def converted(graph: gs.Graph, convert: Callable[[onnx.ModelProto], onnx.ModelProto]) -> gs.Graph:
    """The graph that `convert` makes of the model, which it gets without the data of the main graph's heavy weights.

    onnx's converters keep a tensor's name and drop its doc_string, so a weight is known by its name.
    """
    names = _names(graph)
    with _without(tensor for tensor in graph.tensors().values() if isinstance(tensor, gs.Constant)) as values:
        light = gs.export_onnx(graph)
    for tensor, name in names:
        tensor.ClearField("name") if name is None else setattr(tensor, "name", name)
    marks = {tensor.name: tensor.doc_string for tensor in light.graph.initializer if _place(tensor) is not None}
    model = convert(light)
    for tensor in tensors(model.graph):
        if tensor.name in marks and prod(tensor.dims) >= HEAVY and tensor.ByteSize() < prod(tensor.dims) // 2:
            tensor.doc_string = marks[tensor.name]
    return imported(model, values)


def weights(graph: gs.Graph) -> list[gs.Constant]:
    """Its heavy constants, bodies included."""
    return [constant for constant in _constants(graph) if _is_plain(constant) and prod(constant.shape) >= HEAVY]


def release(constants: Iterable[gs.Constant]) -> None:
    """Let go of their values: a graph is one cycle, which Python keeps until it looks for such, and with it the model that it reads."""
    for constant in constants:
        constant._values = _NOTHING


_NOTHING = np.empty(0, np.float32)


def _names(graph: gs.Graph) -> list[tuple[onnx.TensorProto, str | None]]:
    """Of the tensors that are read from a model: GraphSurgeon's export writes its own into them."""
    lazy = [constant._values.tensor for constant in _constants(graph) if isinstance(constant._values, LazyValues)]
    return [(tensor, tensor.name if tensor.HasField("name") else None) for tensor in lazy if isinstance(tensor, onnx.TensorProto)]


@contextmanager
def _without(constants: Iterable[gs.Constant]) -> Iterator[list[Any]]:
    """Inside, the graph's heavy values have no data; gives them in the order of their marks."""
    heavy = [c for c in constants if _is_plain(c) and prod(c.shape) >= HEAVY]
    values = [constant._values for constant in heavy]
    try:
        for place, constant in enumerate(heavy):
            constant._values = LazyValues(_stub(constant.name, dtype_to_onnx(constant.dtype), constant.shape, place))
        yield values
    finally:
        for constant, value in zip(heavy, values, strict=True):
            constant._values = value


def _is_plain(constant: gs.Constant) -> bool:
    """Neither sparse nor, such as bfloat16, converted on its way out."""
    return not isinstance(constant._values, SparseValues) and constant._export_dtype is None


def _constants(graph: gs.Graph) -> Iterator[gs.Constant]:
    """Each once, bodies and the values of Constant nodes included."""
    seen: set[int] = set()
    for one in (graph, *graph.subgraphs(recursive=True)):
        known = [tensor for tensor in one.tensors().values() if isinstance(tensor, gs.Constant)]
        known += [value for node in one.nodes for value in node.attrs.values() if isinstance(value, gs.Constant)]
        for constant in known:
            if id(constant) not in seen:
                seen.add(id(constant))
                yield constant


def _place(tensor: Any) -> int | None:
    said = getattr(tensor, "doc_string", "")
    return int(said.removeprefix(MARK)) if said.startswith(MARK) else None


def _take(tensor: onnx.TensorProto, source: onnx.TensorProto) -> None:
    """All but the name; one that is not there is not made empty."""
    name = tensor.name
    tensor.CopyFrom(source)
    if tensor.name != name:
        tensor.name = name


def _stub(name: str, data_type: int, dims: Any, place: int) -> onnx.TensorProto:
    return onnx.TensorProto(name=name, data_type=data_type, dims=[int(size) for size in dims], doc_string=f"{MARK}{place}")


def _copy_graph(source: onnx.GraphProto, target: onnx.GraphProto, held: list[onnx.TensorProto]) -> None:
    for field, value in source.ListFields():
        if field.name == "initializer":
            target.initializer.extend(_light(tensor, held) for tensor in value)
        elif field.name == "node":
            for node in value:
                _copy_node(node, target.node.add(), held)
        else:
            copy_field(target, field.name, value)


def _copy_node(source: onnx.NodeProto, target: onnx.NodeProto, held: list[onnx.TensorProto]) -> None:
    if not any(attribute.HasField("g") or attribute.HasField("t") or attribute.graphs for attribute in source.attribute):
        target.CopyFrom(source)
        return
    for field, value in source.ListFields():
        if field.name != "attribute":
            copy_field(target, field.name, value)
            continue
        for attribute in value:
            _copy_attribute(attribute, target.attribute.add(), held)


def _copy_attribute(source: onnx.AttributeProto, target: onnx.AttributeProto, held: list[onnx.TensorProto]) -> None:
    for field, value in source.ListFields():
        if field.name == "t":
            target.t.CopyFrom(_light(value, held))
        elif field.name == "g":
            target.g.SetInParent()
            _copy_graph(value, target.g, held)
        elif field.name == "graphs":
            for body in value:
                _copy_graph(body, target.graphs.add(), held)
        else:
            copy_field(target, field.name, value)


def copy_field(target: Any, name: str, value: Any) -> None:
    """Set one field of a message, repeated or not, to a copy of another's."""
    if isinstance(value, str | bytes | int | float):
        setattr(target, name, value)
    elif hasattr(value, "extend"):
        getattr(target, name).extend(value)
    else:
        getattr(target, name).CopyFrom(value)


def _light(tensor: onnx.TensorProto, held: list[onnx.TensorProto]) -> onnx.TensorProto:
    if prod(tensor.dims) < HEAVY:
        return tensor
    held.append(tensor)
    return _stub(tensor.name, tensor.data_type, tensor.dims, len(held) - 1)
