"""Compute at build time what is done to each row of a constant whose rows are picked at run time.

MatMul(Slice(P, s:e), W) -> Slice(MatMul(P, W), s:e)
MatMul(Gather(P, i), W) -> Gather(MatMul(P, W), i)
and so for whole chains of products by constants, elementwise operators with constants, norms of a row, casts and moves of
axes: f(pick(P)) -> pick(f(P)). A run saves all of f; what is stored grows by the tables f(P). It is declined where all new
tables together would more than double the model's constants: that is twice the memory for what is a part of one product.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
import onnx_graphsurgeon as gs

from variants.explain import decline
from variants.graph import constant
from variants.graph_pass import Stage, surgeon
from variants.rewriting.late import Finder, Late
from variants.symbolic.evaluate import evaluate
from variants.symbolic.infer import infer
from variants.variant import Array

GROWTH = 1.0
"""Bytes of new tables for each byte of constants that the model has."""
SOFTMAX_BY_AXIS = 13
"""Before, Softmax joined all axes from its own on, and axes were attributes that move with them."""


@dataclass(slots=True)
class _Room:
    """Bytes that new tables may still take."""

    left: float
    whole: float


def rewrite(graph: gs.Graph) -> tuple[gs.Graph, int]:
    """The last tensor of every such chain; its nodes stay where something else reads in between."""
    if graph.opset < SOFTMAX_BY_AXIS:
        return graph, 0
    count = _round(graph, measured=False)
    # What only a Shape reads goes with the Reshape that it was for; what is still read then is computed ahead like the rest.
    return graph, count + _round(graph.cleanup(), measured=True)


def _round(graph: gs.Graph, measured: bool) -> int:
    """Rewrites; without `measured`, of what more than a Shape reads."""
    finder = Finder(infer(graph))
    commuting = {id(node) for node in graph.nodes if finder.visit(node)}
    passing = commuting if measured else commuting | {id(node) for node in graph.nodes if node.op == "Shape"}
    whole = _stored(graph)
    room = _Room(GROWTH * whole, whole)
    ends = [late for late in finder.found.values() if late.tensor is not late.pick.outputs[0] and _is_end(graph, late, passing)]
    tables = [(late, _table(graph, finder, late, room)) for late in ends]
    for late, table in tables:
        if table is not None:
            _pick(graph, late, table)
    return sum(table is not None for _, table in tables)


def _stored(graph: gs.Graph) -> float:
    """Bytes of all constants, none of them read."""
    return float(sum(prod(tensor.shape) * np.dtype(tensor.dtype).itemsize for tensor in _constants(graph)))


def _constants(graph: gs.Graph) -> list[gs.Constant]:
    held = [node.attrs.get("value") for node in graph.nodes if node.op == "Constant"]
    return [tensor for tensor in (*graph.tensors().values(), *held) if isinstance(tensor, gs.Constant)]


def _is_end(graph: gs.Graph, late: Late, passing: set[int]) -> bool:
    """Whether something other than the chain reads it: an operator that does not commute, a body, the world."""
    return any(id(reader) not in passing for reader in late.tensor.outputs) or any(late.tensor is output for output in graph.outputs)


def _table(graph: gs.Graph, finder: Finder, late: Late, room: _Room) -> Array | None:
    """f(P), None where it is declined."""
    size = np.dtype(late.tensor.dtype or np.float32).itemsize * _elements(finder, late)
    if size > room.left:
        grown = f"its table of {size / 1e6:.1f} MB and those before it would more than double the model's {room.whole / 1e6:.1f} MB"
        decline(late.tensor.name, grown)
        return None
    table = _computed(graph, finder, late.tensor)
    if table is None:
        decline(late.tensor.name, "ONNX Runtime on the CPU does not compute its table")
        return None
    room.left -= table.nbytes
    return table


def _elements(finder: Finder, late: Late) -> int:
    if late.pick.op == "Slice":
        return prod(finder.table_shape(late))
    shape = finder.facts.shape(late.tensor)
    return late.rows * ((shape[-1].number or 1) if shape else 1)


def _computed(graph: gs.Graph, finder: Finder, tensor: gs.Tensor) -> Array | None:
    """The value that `tensor` has where the pick takes the whole table."""
    late = finder.found.get(id(tensor))
    if late is None or tensor is late.pick.outputs[0]:
        return constant(tensor if late is None else late.pick.inputs[0])
    node = tensor.inputs[0]
    if node.op == "Reshape":
        source = _computed(graph, finder, node.inputs[0])
        return None if source is None else source.reshape(finder.table_shape(late))
    inputs = [None if given.is_empty() else _computed(graph, finder, given) for given in node.inputs]
    if any(value is None and not given.is_empty() for value, given in zip(inputs, node.inputs, strict=True)):
        return None
    outputs = evaluate(node, inputs, graph.opset)
    return outputs[0] if outputs else None


def _pick(graph: gs.Graph, late: Late, table: Array) -> None:
    """The same pick from the new table in place of the node that made the tensor."""
    name = late.tensor.name
    stored = gs.Constant(f"{name}/table", np.ascontiguousarray(table))
    late.tensor.inputs.clear()
    attrs = {"axis": 0} if late.pick.op == "Gather" else {}
    inputs = [stored, *late.pick.inputs[1:]]
    if late.pick.op == "Slice":
        inputs[3] = gs.Constant(f"{name}/axis", np.array([late.axis], np.int64))
    graph.nodes.append(gs.Node(late.pick.op, f"{name}/{late.pick.op}", attrs, inputs, [late.tensor]))


precompute_sliced = surgeon(rewrite, stage=Stage.AHEAD)
