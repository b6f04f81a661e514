"""Cut tables of positions to the rows that the declared ranges can reach.

Slice(P, 0:t) -> Slice(P[:T], 0:t), t <= T by the declared ranges
Slice(P, n-t:n+t-1) -> Slice(P[n-T:n+T-1], (n-t)-(n-T):(n+t-1)-(n-T))
Gather(P, i) -> Gather(P[:T], i), 0 <= i < T

The bound is proven by interval arithmetic on the shapes: a length may come through a convolution's strides. Inside the
declared ranges nothing changes, beyond them the rows are missing; so nothing is cut where no range is declared.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
import onnx_graphsurgeon as gs

from variants.explain import decline
from variants.graph import constant
from variants.graph_pass import Setting, Stage, fitted_surgeon
from variants.symbolic.bounds import Bounds
from variants.symbolic.infer import infer
from variants.symbolic.infer_shapes import given, place
from variants.symbolic.sizes import Span

LEAST = 64
"""Elements of a table: what is smaller is a shape."""


@dataclass(frozen=True, slots=True)
class Reader:
    """A node that takes rows `reach` (first, behind the last) of a table along `axis`."""

    node: gs.Node
    axis: int
    reach: Span


def rewrite(graph: gs.Graph, setting: Setting) -> tuple[gs.Graph, int]:
    """Counts the tables; one that is also read otherwise, or whose reach is not bounded, stays whole."""
    done: set[int] = set()
    # Cutting a table of indices bounds the rows of the table that they pick from.
    while setting.ranges and (cut := _round(graph, setting, done)):
        done |= cut
    return graph, len(done)


def _round(graph: gs.Graph, setting: Setting, done: set[int]) -> set[int]:
    """The new tables."""
    bounds = Bounds(infer(graph, setting.ranges))
    here = {id(node) for node in graph.nodes}
    tables = [table for table in _tables(graph) if id(table) not in done]
    return {id(stored) for table in tables if (stored := _cut(graph, bounds, table, here)) is not None}


def _tables(graph: gs.Graph) -> list[gs.Tensor]:
    picked = {id(node.inputs[0]): node.inputs[0] for node in graph.nodes if node.op in ("Slice", "Gather") and node.inputs}
    return [tensor for tensor in picked.values() if _is_table(tensor)]


def _is_table(tensor: gs.Tensor) -> bool:
    known = isinstance(tensor, gs.Constant) or constant(tensor) is not None
    return known and tensor.shape is not None and prod(tensor.shape) >= LEAST


def _cut(graph: gs.Graph, bounds: Bounds, table: gs.Tensor, here: set[int]) -> gs.Constant | None:
    readers = [_reader(bounds, table, node) if id(node) in here else None for node in table.outputs]
    taken = [reader for reader in readers if reader is not None]
    if len(taken) < len(readers) or len({reader.axis for reader in taken}) != 1 or any(table is output for output in graph.outputs):
        return None
    axis, rows = taken[0].axis, table.shape[taken[0].axis]
    # A Gather's indices would have to be shifted, all of them, so only its table's end is cut.
    first = 0 if any(reader.node.op == "Gather" for reader in taken) else max(int(min(reader.reach[0] for reader in taken)), 0)
    end = int(min(max(reader.reach[1] for reader in taken), rows))
    value = constant(table)
    if value is None or end <= first or end - first == rows:
        return None
    stored = gs.Constant(f"{table.name}/{first}:{end}", np.ascontiguousarray(np.take(value, np.arange(first, end), axis)))
    for reader in taken:
        reader.node.inputs[0] = stored
        if first:
            reader.node.inputs[1] = _less(graph, reader.node.inputs[1], first)
            reader.node.inputs[2] = _less(graph, reader.node.inputs[2], first)
    return stored


def _reader(bounds: Bounds, table: gs.Tensor, node: gs.Node) -> Reader | None:
    """How far `node` reaches, None where it takes the table as a whole or nothing says so."""
    if node.inputs[0] is not table or any(tensor is table for tensor in node.inputs[1:]):
        return None
    if node.op == "Gather":
        low, high = bounds.of(node.inputs[1])
        return Reader(node, int(node.attrs.get("axis", 0)) % len(table.shape), (low, high + 1)) if low >= 0 else None
    return _sliced(bounds, table, node) if node.op == "Slice" and len(node.inputs) > 3 else None


def _sliced(bounds: Bounds, table: gs.Tensor, node: gs.Node) -> Reader | None:
    facts = bounds.facts
    axes, steps = given(facts, node, 3, "axes"), given(facts, node, 4, "steps")
    starts, ends = facts.value(node.inputs[1]), facts.value(node.inputs[2])
    if axes is None or len(axes) != 1 or (len(node.inputs) > 4 and (steps is None or steps[0] < 1)):
        return None
    shape = facts.shape(table)
    if starts is None or ends is None or shape is None or any(facts.spans.span(part.item())[0] < 0 for part in (starts, ends)):
        decline(node.outputs[0].name, "its ends may count from the table's end")
        return None
    axis = axes[0] % len(shape)
    first, end = (place(facts, shape[axis], part.item()) for part in (starts, ends))
    if first is None or end is None:
        return None
    reach = (facts.spans.span(first)[0], facts.spans.span(end)[1])
    if reach[1] >= table.shape[axis] and reach[0] <= 0 and end.number is None:
        decline(node.outputs[0].name, f"the declared ranges reach all {table.shape[axis]} rows")
    return Reader(node, axis, reach)


def _less(graph: gs.Graph, tensor: gs.Tensor, first: int) -> gs.Tensor:
    known = constant(tensor)
    if known is not None:
        return gs.Constant(f"{tensor.name}/less {first}", known - known.dtype.type(first))
    made = gs.Variable(f"{tensor.name}/less {first}", tensor.dtype, tensor.shape)
    if made.name in (found := graph.tensors()):
        return found[made.name]
    by = gs.Constant(f"{made.name}/by", np.array([first], tensor.dtype or np.int64))
    graph.nodes.append(gs.Node("Sub", f"{made.name}/Sub", {}, [tensor, by], [made]))
    return made


cut_positions = fitted_surgeon(rewrite, stage=Stage.TRIM, changes="free dimensions end at their declared range")
