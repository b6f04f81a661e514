"""What the values in a graph depend on besides its inputs: operators, connections and floats, but not sizes.

Two graphs of one variant after the same passes that differ in the batch alone have the same fingerprint, so that ranges
calibrated at one batch serve the others.
"""

from __future__ import annotations

import hashlib

import onnx
from onnx import TensorProto

from variants.heavy import tensors

SIZES = (TensorProto.INT64, TensorProto.INT32)


def fingerprint(model: onnx.ModelProto) -> str:
    """A sha256: equal where nodes, their attributes, and all constants but whole numbers (shapes, axes, sizes) are."""
    found = hashlib.sha256()
    _nodes(model.graph, found)
    for tensor in tensors(model.graph):
        if tensor.data_type not in SIZES:
            found.update(f"{tensor.name} {tensor.data_type} {list(tensor.dims)}".encode())
            found.update(tensor.raw_data or tensor.SerializeToString(deterministic=True))
    return found.hexdigest()


def _nodes(graph: onnx.GraphProto, found: hashlib._Hash) -> None:
    for node in graph.node:
        found.update(f"{node.domain} {node.op_type} {list(node.input)} {list(node.output)}".encode())
        for attribute in node.attribute:
            bodies = [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]
            for body in bodies:
                _nodes(body, found)
            if not bodies and not attribute.HasField("t"):
                found.update(attribute.SerializeToString(deterministic=True))
