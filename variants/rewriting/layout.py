"""How one tensor is another with its axes in another order, or with axes of size one more or fewer: Transpose, Squeeze, Unsqueeze."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from variants.rewriting.rewire import Wiring, numbers
from variants.symbolic.infer import Facts, Shape
from variants.symbolic.sizes import sized
from variants.variant import Array

MOVES = ("Transpose", "Squeeze", "Unsqueeze", "Reshape")
"""The operators that may be a Layout; a Reshape is one where it adds and takes axes of size one only."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Axis i is axis `axes[i]` of a source of `rank` axes; None is an axis of size one. Axes of the source not named have size one."""

    axes: tuple[int | None, ...]
    rank: int

    @property
    def dropped(self) -> tuple[int, ...]:
        """The axes of the source that are not named."""
        return tuple(axis for axis in range(self.rank) if axis not in self.axes)

    @property
    def added(self) -> tuple[int, ...]:
        """The axes of size one that come of nothing."""
        return tuple(place for place, axis in enumerate(self.axes) if axis is None)

    @property
    def identity(self) -> bool:
        """Whether it changes nothing."""
        return self.axes == tuple(range(self.rank))

    @property
    def order(self) -> tuple[int, ...]:
        """The permutation between taking axes away and adding some."""
        named = [axis for axis in self.axes if axis is not None]
        return tuple(sorted(named).index(axis) for axis in named)

    @property
    def moves(self) -> bool:
        """Whether a Transpose is needed."""
        return self.order != tuple(range(len(self.order)))

    @property
    def cost(self) -> int:
        """Nodes that it takes."""
        return self.moves + bool(self.dropped) + bool(self.added)

    def then(self, other: Layout) -> Layout:
        """`other` of this; an axis taken away and one added meet where that saves a node."""
        axes = [None if axis is None else self.axes[axis] for axis in other.axes]
        dropped = [axis for axis in range(self.rank) if axis not in axes]
        for place, axis in enumerate(axes):
            if axis is None and dropped:
                fits = [j for j in dropped if _between(j, axes, place)]
                if fits:
                    axes[place] = fits[0]
                    dropped.remove(fits[0])
        return min(Layout(tuple(axes), self.rank), self._plain(other), key=lambda layout: (layout.moves, layout.cost))

    def _plain(self, other: Layout) -> Layout:
        return Layout(tuple(None if axis is None else self.axes[axis] for axis in other.axes), self.rank)

    def inverse(self) -> Layout:
        """The layout that undoes it."""
        return Layout(tuple(self.axes.index(j) if j in self.axes else None for j in range(self.rank)), len(self.axes))

    def shape(self, source: Shape) -> Shape:
        """The shape of a tensor whose source has the shape `source`."""
        return tuple(sized(1) if axis is None else source[axis] for axis in self.axes)

    def array(self, value: Array) -> Array:
        """Of an array, whose dropped axes must be of size one."""
        kept = value.reshape([size for axis, size in enumerate(value.shape) if axis in self.axes])
        return np.expand_dims(kept.transpose(self.order), self.added) if self.added else kept.transpose(self.order)

    def write(self, wiring: Wiring, facts: Facts, tensor: gs.Tensor, stem: str) -> gs.Tensor:
        """`tensor` in this layout, by as many new nodes as it costs."""
        kept = tuple(sorted(axis for axis in self.axes if axis is not None))
        order = Layout(self.order, len(kept))
        parts = (("Squeeze", Layout(kept, self.rank)), ("Transpose", order), ("Unsqueeze", _adding(self.added, len(kept))))
        for op, part in parts:
            if not part.identity:
                shape = facts.shape(tensor)
                tensor = single(wiring, op, {"Squeeze": part.dropped, "Transpose": part.order, "Unsqueeze": part.added}[op], tensor, stem)
                if shape is not None:
                    facts.shapes[id(tensor)] = part.shape(shape)
        return tensor


def _between(j: int, axes: list[int | None], place: int) -> bool:
    before = [axis for axis in axes[:place] if axis is not None]
    after = [axis for axis in axes[place + 1 :] if axis is not None]
    return (not before or before[-1] < j) and (not after or j < after[0])


AXES_ARE_INPUTS = 13
"""Opset from which on Squeeze and Unsqueeze have their axes as an input."""


def single(wiring: Wiring, op: str, axes: tuple[int, ...], tensor: gs.Tensor, stem: str) -> gs.Variable:
    """One Transpose, Squeeze or Unsqueeze, as the graph's opset writes it."""
    if op == "Transpose":
        return wiring.node(op, [tensor], f"{stem}/{op}", tensor.dtype, perm=list(axes))
    if wiring.graph.opset < AXES_ARE_INPUTS:
        return wiring.node(op, [tensor], f"{stem}/{op}", tensor.dtype, axes=list(axes))
    held = wiring.constant(np.array(axes, np.int64), f"{stem}/axes")
    return wiring.node(op, [tensor, held], f"{stem}/{op}", tensor.dtype)


def layout(facts: Facts, node: gs.Node) -> Layout | None:
    """What `node` does as a Layout; None where it is none, or is not known to be."""
    if node.domain or node.op not in MOVES:
        return None
    rank = facts.rank(node.inputs[0])
    if node.op == "Transpose":
        order = node.attrs.get("perm")
        rank = len(order) if order is not None else rank
        return None if rank is None else Layout(tuple(order if order is not None else range(rank)[::-1]), rank)
    if rank is None:
        return None
    if node.op == "Reshape":
        return _ones(facts.shape(node.inputs[0]), facts.shape(node.outputs[0]))
    axes = numbers(node, 1, "axes")
    if node.op == "Squeeze":
        return _squeezed(facts, node, axes, rank)
    return None if axes is None else _adding(axes, rank)


def _adding(axes: Sequence[int], rank: int) -> Layout:
    """Unsqueeze at `axes` of the result."""
    total = rank + len(axes)
    added = {axis % total for axis in axes}
    given = iter(range(rank))
    return Layout(tuple(None if axis in added else next(given) for axis in range(total)), rank)


def _squeezed(facts: Facts, node: gs.Node, axes: list[int] | None, rank: int) -> Layout | None:
    """Without axes it drops whatever is of size one, which must be known of each."""
    if axes is None and (len(node.inputs) > 1 or "axes" in node.attrs):
        return None
    if axes is None:
        sizes = [size.number for size in facts.shape(node.inputs[0]) or ()]
        if None in sizes:
            return None
        axes = [axis for axis, size in enumerate(sizes) if size == 1]
    dropped = {axis % rank for axis in axes}
    return Layout(tuple(axis for axis in range(rank) if axis not in dropped), rank)


def _ones(source: Shape | None, target: Shape | None) -> Layout | None:
    """A Reshape between shapes that are the same but for ones."""
    if source is None or target is None:
        return None
    left = [axis for axis, size in enumerate(source) if size.number != 1]
    if [source[axis] for axis in left] != [size for size in target if size.number != 1]:
        return None
    named = iter(left)
    axes = tuple(None if size.number == 1 else next(named) for size in target)
    whole = Layout(tuple(range(len(source))), len(source))
    return whole.then(Layout(axes, len(source)))
