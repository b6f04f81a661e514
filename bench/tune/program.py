"""What a plan executes, whatever its nodes and tensors are called: plans that are the same program need timing once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from bench.cache import file_digest


def program(plan: Path) -> str:
    """A digest of operators, attributes, constants and how they are joined, names and their order left out.

    A plan that is not a whole ONNX model (an engine, weights in another file) has the digest of its bytes.
    """
    try:
        model = onnx.ModelProto.FromString(plan.read_bytes())
    except DecodeError:
        return file_digest(plan)
    whole = all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in model.graph.initializer)
    if not model.graph.node or not whole:
        return file_digest(plan)
    domains = sorted(f"{entry.domain} {entry.version}" for entry in model.opset_import)
    return _hash(*domains, _graph(model.graph, {}))


def _graph(graph: onnx.GraphProto, outer: dict[str, str]) -> str:
    """Of a graph inside one whose tensors are `outer`, by name; order of the nodes aside, which only what they read fixes."""
    known = dict(outer)
    known |= {value.name: _hash("input", str(place), str(value.type)) for place, value in enumerate(graph.input)}
    known |= {tensor.name: _tensor(tensor) for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        nodes.append(_node(node, known))
        known |= {name: _hash(nodes[-1], str(place)) for place, name in enumerate(node.output) if name}
    return _hash(*sorted(nodes), *(known.get(value.name, "") for value in graph.output))


def _node(node: onnx.NodeProto, known: dict[str, str]) -> str:
    attributes = sorted(_hash(attribute.name, *_attribute(attribute, known)) for attribute in node.attribute)
    made = "".join("1" if name else "0" for name in node.output)
    return _hash(node.domain, node.op_type, made, *(known.get(name, "absent") for name in node.input), "attributes", *attributes)


def _attribute(attribute: onnx.AttributeProto, known: dict[str, str]) -> Iterator[str]:
    bodies = (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs)
    tensors = (*((attribute.t,) if attribute.HasField("t") else ()), *attribute.tensors)
    if bodies or tensors:
        yield from (_graph(body, known) for body in bodies)
        yield from (_tensor(tensor) for tensor in tensors)
    else:
        yield attribute.SerializeToString(deterministic=True).hex()


def _tensor(tensor: onnx.TensorProto) -> str:
    nameless = onnx.TensorProto()
    nameless.CopyFrom(tensor)
    nameless.ClearField("name")
    nameless.ClearField("doc_string")
    return hashlib.sha256(nameless.SerializeToString(deterministic=True)).hexdigest()


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
