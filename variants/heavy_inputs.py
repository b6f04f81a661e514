"""Weights handed to a library as inputs without a value: what it cannot fold, it need not carry."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Set
from math import prod

import onnx

from common.errors import UserError
from variants.graph import graphs
from variants.heavy import HEAVY, LIMIT, copy_field, data_bytes

OPERANDS = {("MatMul", 1), ("Gather", 0)}


def without_weights(model: onnx.ModelProto, spared: Set[str]) -> tuple[onnx.ModelProto, dict[str, onnx.TensorProto]]:
    """A copy of `model` in which the initializers `spared` are inputs, and these by name.

    The tensors are the model's own. Raises UserError where what stays is above protobuf's limit.
    """
    held = {tensor.name: tensor for tensor in model.graph.initializer if tensor.name in spared}
    light = onnx.ModelProto()
    for field, value in model.ListFields():
        if field.name != "graph":
            copy_field(light, field.name, value)
    for field, value in model.graph.ListFields():
        if field.name != "initializer":
            copy_field(light.graph, field.name, value)
    light.graph.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name not in held)
    light.graph.input.extend(onnx.helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in held.values())
    if data_bytes(light) > LIMIT:
        raise UserError("the library would compute with more than protobuf's 2 GiB of weights: leave it out, or fold them in PyTorch")
    return light, held


def unfolded(model: onnx.ModelProto) -> set[str]:
    """The heavy initializers that folding leaves alone: every reader of theirs reads something known at run time only."""
    staying = _folded(model.graph) | {value.name for value in model.graph.input}
    return {t.name for t in model.graph.initializer if prod(t.dims) >= HEAVY and t.name not in staying}


def mere_operands(model: onnx.ModelProto) -> set[str]:
    """Of the `unfolded` those that only MatMul or Gather read and that equal no other: fusing goes by their shapes."""
    found, readers = unfolded(model), defaultdict(set)
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            readers[name].add((node.op_type, place))
    digests = {t.name: _digest(t) for t in model.graph.initializer if prod(t.dims) >= HEAVY}
    counts = Counter(digests.values())
    return {name for name in found if readers[name] <= OPERANDS and counts[digests[name]] == 1}


def put_back(model: onnx.ModelProto, held: dict[str, onnx.TensorProto]) -> onnx.ModelProto:
    """`model` itself, with the weights that something still reads as initializers again."""
    if not held:
        return model
    inputs = [value for value in model.graph.input if value.name not in held]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    read = {name for graph in graphs(model.graph) for node in graph.node for name in node.input} | {v.name for v in model.graph.output}
    model.graph.initializer.extend(tensor for name, tensor in held.items() if name in read)
    return model


def _digest(tensor: onnx.TensorProto) -> bytes:
    return hashlib.sha256(f"{tensor.data_type}{list(tensor.dims)}".encode() + tensor.raw_data).digest()


def _folded(graph: onnx.GraphProto) -> set[str]:
    """What nodes read whose inputs are all known ahead of time, what bodies read, and what is an output itself."""
    known = {tensor.name for tensor in graph.initializer}
    inside = {name for body in list(graphs(graph))[1:] for node in body.node for name in node.input}
    found = inside | {value.name for value in graph.output}
    for node in graph.node:
        if all(name in known for name in node.input):
            known.update(node.output)
            found.update(node.input)
    return found
