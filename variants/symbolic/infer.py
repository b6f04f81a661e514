"""What a graph's shapes and shape tensors are, as polynomials over its free dimensions; onnx's own inference fills in the rest.

onnx gives up behind a Reshape whose target is computed, as every exporter writes attention; this keeps on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_graphsurgeon as gs

from variants.graph import constant
from variants.symbolic.sizes import FREE, Size, Span, Spans, named, sized

Shape: TypeAlias = tuple[Size, ...]
Values: TypeAlias = npt.NDArray[Any]
"""Objects: a Size each, or a bool."""

MOST = 64
"""Elements of a tensor whose values are followed: a shape has few, and what has more is data."""


@dataclass(slots=True)
class Facts:
    """Shapes and values of the tensors of one graph, by identity; bodies of Ifs and Loops are not entered."""

    spans: Spans
    shapes: dict[int, Shape] = field(default_factory=dict)
    values: dict[int, Values] = field(default_factory=dict)

    def shape(self, tensor: gs.Tensor) -> Shape | None:
        """One Size a dimension; None where even the rank is not known."""
        if id(tensor) in self.shapes:
            return self.shapes[id(tensor)]
        known = constant(tensor) if not isinstance(tensor, gs.Constant) else None
        shape = tensor.shape if known is None else known.shape
        if shape is None:
            return None
        self.shapes[id(tensor)] = tuple(self._dimension(size) for size in shape)
        return self.shapes[id(tensor)]

    def value(self, tensor: gs.Tensor) -> Values | None:
        """Of a small tensor of integers or booleans, each element; None where they are not known."""
        if id(tensor) in self.values:
            return self.values[id(tensor)]
        if isinstance(tensor, gs.Constant) and np.prod(tensor.shape) > MOST:
            return None
        known = constant(tensor)
        if known is None or known.size > MOST or known.dtype.kind not in "iub":
            return None
        self.values[id(tensor)] = _objects(known)
        return self.values[id(tensor)]

    def numbers(self, tensor: gs.Tensor) -> list[int] | None:
        """The elements of a small integer tensor where all are plain numbers."""
        value = self.value(tensor)
        found = [size.number if isinstance(size, Size) else None for size in value.reshape(-1)] if value is not None else [None]
        return [number for number in found if number is not None] if None not in found else None

    def rank(self, tensor: gs.Tensor) -> int | None:
        """The number of dimensions, None where it is not known."""
        shape = self.shape(tensor)
        return None if shape is None else len(shape)

    def _dimension(self, size: Any) -> Size:
        if isinstance(size, str) and size:
            return named(size)
        return sized(int(size)) if isinstance(size, int | np.integer) and size >= 0 else self.unknown()

    def unknown(self) -> Size:
        """A dimension that equals no other."""
        return self.spans.fresh(("unknown", len(self.spans.names)), self.spans.free)


def infer(graph: gs.Graph, ranges: Mapping[str, tuple[int, int, int]] | None = None, free: Span = FREE) -> Facts:
    """The facts of a graph's tensors; `ranges` are (min, best, max) of free dimensions, the others are within `free`."""
    from variants.symbolic.infer_shapes import shapes_of
    from variants.symbolic.infer_values import values_of

    facts = Facts(Spans.declared(ranges or {}))
    facts.spans.free = free
    for node in graph.toposort().nodes:
        try:
            found = shapes_of(facts, node)
        except (IndexError, KeyError, ValueError, TypeError):  # a node that its operator does not allow: nothing is known behind it
            continue
        for tensor, shape in zip(node.outputs, found, strict=False):
            if shape is not None:
                facts.shapes[id(tensor)] = shape
        if len(node.outputs) == 1 and (values := values_of(facts, node)) is not None:
            facts.values[id(node.outputs[0])] = values
    return facts


def broadcast(facts: Facts, shapes: Sequence[Shape | None]) -> Shape | None:
    """The shape of an elementwise operator over tensors of `shapes`."""
    known = [shape for shape in shapes if shape is not None]
    if not known or len(known) < len(shapes):
        return None
    rank = max(map(len, known))
    padded = [(sized(1),) * (rank - len(shape)) + shape for shape in known]
    return tuple(_common(facts, column) for column in zip(*padded, strict=True))


def _common(facts: Facts, sizes: Sequence[Size]) -> Size:
    distinct = list(dict.fromkeys(size for size in sizes if size.number != 1))
    if not distinct:
        return sized(1)
    if len(distinct) == 1:
        return distinct[0]
    certain = [size for size in distinct if facts.spans.span(size)[0] > 1]
    return next((size for size in certain if size.number is not None), certain[0]) if certain else facts.spans.either(distinct)


def _objects(array: npt.NDArray[Any]) -> Values:
    made = np.empty(array.shape, object)
    for place, element in np.ndenumerate(array):
        made[place] = bool(element) if array.dtype == bool else sized(int(element))
    return made
