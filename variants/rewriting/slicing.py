"""Slices with constant bounds, and two of them as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from variants.rewriting.rewire import Wiring, given, numbers
from variants.symbolic.infer import Facts

END, BEGIN = 2**63 - 1, -(2**63)
"""As exporters write "to the end", forwards and backwards."""
FAR = 2**31 - 1
"""They also write INT32_MAX; no axis is as long."""


@dataclass(frozen=True, slots=True)
class Span:
    """One axis of a Slice in Python's terms, its end by ONNX's rules: beyond the last element means to the end."""

    start: int
    end: int
    step: int

    @property
    def to_end(self) -> bool:
        """Whether it goes on to the last element whatever the size (forwards), or to the first."""
        return self.end >= FAR if self.step > 0 else self.end <= -FAR

    @property
    def everything(self) -> bool:
        """Whether it takes all elements in order, whatever the size."""
        return self.start == 0 and self.step == 1 and self.to_end

    def of(self, size: int) -> range:
        """The elements taken of an axis of `size`. Unlike Python's, a backwards start before the first element is the first."""
        start, end = (bound + size if bound < 0 else bound for bound in (self.start, self.end))
        if self.step > 0:
            return range(min(max(start, 0), size), min(max(end, 0), size), self.step)
        return range(min(max(start, 0), size - 1), min(max(end, -1), size - 1), self.step)

    def then(self, other: Span, size: int | None) -> Span | None:
        """`other` of this, on an axis of `size` elements (None: not known); None where no single Slice is certain to be it."""
        if size is None:
            return _composed(self, other)
        taken = self.of(size)
        return _span([taken[place] for place in other.of(len(taken))], self.step * other.step)


def _span(taken: Sequence[int], step: int) -> Span:
    if not taken:
        return Span(0, 0, 1)
    first, last = taken[0], taken[-1]
    if step > 0:
        return Span(first, last + 1, step)
    return Span(first, last - 1 if last else BEGIN, step)


def _composed(first: Span, second: Span) -> Span | None:
    """With the size unknown. Element i of the first is start + i * step, as far as its end goes; ends from behind count from the size."""
    if second.everything:
        return first
    if first.everything:
        return second
    if first.step == second.step == -1 and _reversal(first) and _reversal(second):
        return Span(0, END, 1)
    if second.step < 0 or second.start < 0:
        return None
    step = first.step * second.step
    if second.start == 0 and second.to_end:
        return Span(first.start, first.end, step)
    if first.step < 0 or first.start < 0:
        return None
    end = _end(first, second)
    return None if end is None else Span(first.start + second.start * first.step, end, step)


def _reversal(span: Span) -> bool:
    return span.start in (-1, END, FAR) and span.to_end


def _end(first: Span, second: Span) -> int | None:
    if second.to_end:
        return first.end
    if second.end >= 0:
        reached = first.start + second.end * first.step
        return reached if first.to_end else min(reached, first.end) if first.end >= 0 else None
    if first.step != 1:
        return None
    return second.end if first.to_end else first.end + second.end if first.end < 0 else None


def spans(facts: Facts, node: gs.Node) -> dict[int, Span] | None:
    """Each sliced axis, counted from the front; None where bounds are not constant, or a negative axis is of an unknown rank."""
    starts, ends = numbers(node, 1, "starts"), numbers(node, 2, "ends")
    if starts is None or ends is None:
        return None
    axes = numbers(node, 3, "axes") if given(node, 3) or "axes" in node.attrs else list(range(len(starts)))
    steps = numbers(node, 4, "steps") if given(node, 4) else [1] * len(starts)
    rank = facts.rank(node.inputs[0])
    if axes is None or steps is None or 0 in steps or (rank is None and any(axis < 0 for axis in axes)):
        return None
    found = {axis + (rank or 0) if axis < 0 else axis: Span(*bounds) for axis, *bounds in zip(axes, starts, ends, steps, strict=True)}
    return found if len(found) == len(axes) else None


def write(wiring: Wiring, node: gs.Node, source: gs.Tensor, wanted: dict[int, Span]) -> bool:
    """Make `node` that Slice of `source`, as the graph's opset writes it; False where it cannot (steps came with opset 10)."""
    axes = sorted(wanted)
    columns = [[wanted[axis].start for axis in axes], [wanted[axis].end for axis in axes], axes, [wanted[axis].step for axis in axes]]
    if wiring.graph.opset < 10:
        if any(step != 1 for step in columns[3]):
            return False
        node.inputs, node.attrs = [source], dict(zip(("starts", "ends", "axes"), columns, strict=False))
        return True
    name = node.outputs[0].name
    held = [wiring.constant(np.array(column, np.int64), f"{name}/{what}") for what, column in zip(PARTS, columns, strict=True)]
    node.inputs, node.attrs = [source, *held], {}
    return True


PARTS = ("starts", "ends", "axes", "steps")
