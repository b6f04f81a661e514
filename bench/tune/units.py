"""What a search keeps or lowers together: blocks of a graph, and the modules with weights inside them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx

WEIGHTED = ("MatMul", "Gemm", "Conv", "ConvTranspose")
FLOATING = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16, onnx.TensorProto.DOUBLE)
INDEXED = re.compile(r".*?\d+(?:\.\d+)*$")
"""A module that is one of several alike: layer.0, blocks3.1."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Nodes that are kept or lowered together; `label` is their module, or the first and last of them where names tell none.

    `weight` is the number of elements of their constants: what they cost where no profile tells.
    """

    label: str
    nodes: frozenset[str]
    weight: int


def units(model: onnx.ModelProto) -> tuple[Unit, ...]:
    """Each module that has weights of its own, in graph order; a node with weights alone where its name tells no module.

    The nodes of `model` must be named (variants.lowering.keep.named).
    """
    weights = _weights(model)
    found: dict[str, str] = {}
    for name in weights:
        module = _module(name)
        nested = any(other.startswith(f"{module}/") and _module(other) != module for other in weights)
        found.setdefault(name if not module or nested else module, name)
    return tuple(_unit(model, label, weights) for label in found)


def blocks(model: onnx.ModelProto) -> tuple[Unit, ...]:
    """The repeated modules (`/encoder/layer.0`) and, of what is in none, each module with weights.

    Where most weights have no module in their names: the pieces between the tensors through which all data flows.
    """
    weights = _weights(model)
    if sum(bool(_module(name)) for name in weights) * 2 < len(weights):
        return tuple(_pieces(model, weights))
    found: dict[str, Unit] = {}
    for unit in units(model):
        repeated = _repeated(unit.label)
        found.setdefault(repeated or unit.label, _unit(model, repeated, weights) if repeated else unit)
    return tuple(found.values())


def inside(block: Unit, smaller: Sequence[Unit]) -> tuple[Unit, ...]:
    """The units whose nodes all lie in `block`."""
    return tuple(unit for unit in smaller if unit.nodes <= block.nodes)


def _module(name: str) -> str:
    return name.rpartition("/")[0] if name.startswith("/") else ""


def _repeated(label: str) -> str:
    """The outermost repeated module around or at `label`, "" where there is none."""
    parts = label.split("/")
    at = next((i for i, part in enumerate(parts) if INDEXED.fullmatch(part)), 0)
    return "/".join(parts[: at + 1]) if at else ""


def _unit(model: onnx.ModelProto, label: str, weights: dict[str, int]) -> Unit:
    nodes = frozenset(node.name for node in model.graph.node if node.name == label or node.name.startswith(f"{label}/"))
    return Unit(label, nodes, sum(size for name, size in weights.items() if name in nodes))


def _weights(model: onnx.ModelProto) -> dict[str, int]:
    """Elements of the constants of each node that multiplies by one."""
    sizes = {tensor.name: _size(tensor) for tensor in model.graph.initializer}
    known = set(sizes)
    found = {}
    for node in model.graph.node:
        if node.op_type == "Constant":
            sizes |= {node.output[0]: sum(_size(attribute.t) for attribute in node.attribute if attribute.HasField("t"))}
            known.add(node.output[0])
        elif node.op_type in ("Identity", "Transpose") and node.input[0] in known:
            sizes[node.output[0]] = sizes[node.input[0]]
            known.add(node.output[0])
        elif node.op_type in WEIGHTED and len(node.input) > 1 and known & set(node.input[:2]):
            found[node.name] = sum(sizes.get(name, 0) for name in node.input)
    return found


def _size(tensor: onnx.TensorProto) -> int:
    count = 1
    for dim in tensor.dims:
        count *= dim
    return count


def _pieces(model: onnx.ModelProto, weights: dict[str, int]) -> Iterator[Unit]:
    piece: list[str] = []
    for node, alone in _alone(model):
        piece.append(node.name)
        if alone and any(name in weights for name in piece):
            yield _piece(piece, weights)
            piece = []
    if any(name in weights for name in piece):
        yield _piece(piece, weights)


def _piece(nodes: Sequence[str], weights: dict[str, int]) -> Unit:
    heavy = [name for name in nodes if name in weights]
    label = heavy[0] if len(heavy) == 1 else f"{heavy[0]} .. {heavy[-1]}"
    return Unit(label, frozenset(nodes), sum(weights[name] for name in heavy))


def _alone(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, bool]]:
    """Each node, and whether after it a single tensor carries all that later nodes read.

    Inputs of whole numbers, constants and what follows from shapes alone are not counted: masks and sizes are read everywhere.
    """
    last = {name: index for index, node in enumerate(model.graph.node) for name in _read(node)}
    last |= {value.name: len(model.graph.node) for value in model.graph.output}
    fixed = {tensor.name for tensor in model.graph.initializer} | {value.name for value in model.graph.input} | {""}
    inputs = {value.name for value in model.graph.input}
    live = {value.name for value in model.graph.input if value.type.tensor_type.elem_type in FLOATING}
    for index, node in enumerate(model.graph.node):
        data = node.op_type not in ("Shape", "Constant") and any(name not in fixed or name in inputs for name in node.input)
        (live if data else fixed).update(node.output)
        live = {name for name in live if last.get(name, -1) > index}
        yield node, len(live) <= 1


def _read(node: onnx.NodeProto) -> Iterator[str]:
    yield from node.input
    for attribute in node.attribute:
        for body in (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs):
            for inner in body.node:
                yield from _read(inner)
