"""Rows that a graph picks with constant places: a Gather or a Slice along one axis, as something that can be picked earlier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from variants.graph import constant
from variants.rewriting.rewire import Wiring
from variants.rewriting.slicing import Span, spans, write
from variants.symbolic.infer import Facts
from variants.symbolic.sizes import Size, sized
from variants.variant import Array

SHORT = 8
"""Places of an axis of unknown size that are taken for few."""
STEPS, SQUEEZE_AXES_ARE_INPUT = 10, 13
"""Opsets from which on a Slice has steps, and a Squeeze takes its axes as an input."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Which elements of an axis: a Span, or the places of a Gather that no Span says."""

    span: Span | None = None
    places: tuple[int, ...] = ()

    def of(self, array: Array, axis: int) -> Array:
        """Those of an array, its axis as long as the one that they are picked from."""
        taken = self.span.of(array.shape[axis]) if self.span is not None else self.places
        return np.ascontiguousarray(np.take(array, np.array(taken, np.int64), axis))

    def count(self, size: Size) -> int | None:
        """How many of an axis of `size`; None where that depends on a size that is not known. A single one is there."""
        if self.span is None:
            return len(self.places)
        if size.number is not None:
            return len(self.span.of(size.number))
        last = self.span.start == -1 and self.span.to_end
        return 1 if self.span.step == 1 and (last or (self.span.end - self.span.start == 1 and self.span.end != 0)) else None

    def few(self, size: Size) -> bool:
        """Whether picking them early can pay: half of the axis at most, or a few of an axis of unknown size."""
        count = self.count(size)
        if size.number is not None:
            return count is not None and 0 < 2 * count <= size.number
        if count is None and self.span is not None and self.span.start >= 0 and self.span.step == 1:
            count = self.span.end - self.span.start
        return count is not None and 0 < count <= SHORT

    def sayable(self, opset: int) -> bool:
        """Whether a node of that opset can pick them: a Slice had no steps before 10."""
        return opset >= STEPS or self.span is None or self.span.step == 1

    def node(self, wiring: Wiring, source: gs.Tensor, axis: int) -> gs.Variable:
        """These rows of `source`, by a new node."""
        made = gs.Variable(wiring.name(f"{source.name}/rows"), source.dtype)
        node = gs.Node("Slice", made.name, {}, [source], [made])
        if self.span is None:
            node.op, node.attrs = "Gather", {"axis": axis}
            node.inputs = [source, wiring.constant(np.array(self.places, np.int64), f"{made.name}/places")]
        else:
            write(wiring, node, source, {axis: self.span})
        wiring.add(node)
        return made


@dataclass(frozen=True, slots=True)
class Selection:
    """A node that picks `rows` of its first input along `axis`; one by a scalar index takes the axis away."""

    node: gs.Node
    axis: int
    rows: Rows
    scalar: bool

    def moved(self, wiring: Wiring, source: gs.Tensor) -> None:
        """`source` has these rows and no others: the node is not needed any more, or only to take the axis away."""
        if not self.scalar:
            wiring.bypass(self.node, source)
            return
        self.node.op, self.node.attrs, self.node.inputs = "Squeeze", {}, [source]
        if wiring.graph.opset < SQUEEZE_AXES_ARE_INPUT:
            self.node.attrs = {"axes": [self.axis]}
        else:
            self.node.inputs.append(wiring.constant(np.array([self.axis], np.int64), f"{self.node.outputs[0].name}/axes"))


def selection(facts: Facts, node: gs.Node) -> Selection | None:
    """What `node`, a Gather or a Slice with constant places along one axis, picks; counted from the front where the size is known."""
    shape = facts.shape(node.inputs[0]) if node.inputs and node.outputs else None
    if shape is None or len(shape) < 2 or constant(node.inputs[0]) is not None:
        return None
    if node.op == "Slice":
        cuts = spans(facts, node)
        if cuts is None or len(cuts) != 1:
            return None
        ((axis, span),) = cuts.items()
        return Selection(node, axis, Rows(_counted(span, shape[axis].number)), False)
    places = constant(node.inputs[1])
    if places is None or places.ndim > 1 or not 0 < places.size <= SHORT:
        return None
    axis = node.attrs.get("axis", 0) % len(shape)
    return Selection(node, axis, _gathered([int(place) for place in places.reshape(-1)], shape[axis].number), places.ndim == 0)


def _counted(span: Span, size: int | None) -> Span:
    """From the front, where the size is known."""
    taken = span.of(size) if size is not None else None
    return span if not taken or taken.step < 0 else Span(taken[0], taken[-1] + 1, taken.step)


def _gathered(places: list[int], size: int | None) -> Rows:
    """A Slice where the size is known; where it is not, a Gather, of which all know how many rows it leaves."""
    if size is None:
        return Rows(places=tuple(places))
    places = [place % size if -size <= place < size else place for place in places]
    first, count = places[0], len(places)
    return Rows(Span(first, first + count, 1)) if places == list(range(first, first + count)) else Rows(places=tuple(places))


def smaller(size: Size, rows: Rows, facts: Facts) -> Size:
    """The size of an axis of `size` when only `rows` are left."""
    count = rows.count(size)
    return sized(count) if count is not None else facts.spans.fresh(("rows", rows, size), (0, facts.spans.span(size)[1]))
