"""Between which numbers the elements of an integer tensor lie, as far as the graph proves it: interval arithmetic, node by node."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from variants.graph import constant
from variants.symbolic.infer import Facts
from variants.symbolic.infer_shapes import given
from variants.symbolic.sizes import Size, Span, times

UNKNOWN: Span = (-math.inf, math.inf)
TRUTH: Span = (0, 1)
NARROW = {np.dtype(np.bool_): TRUTH} | {
    np.dtype(kind): (float(np.iinfo(kind).min), float(np.iinfo(kind).max)) for kind in (np.uint8, np.int8, np.uint16, np.int16, np.int32)
}
"""Of a type that is bounded by itself."""
Rule = Callable[["Bounds", gs.Node, int], Span]


class Bounds:
    """Answers for the tensors of one graph; `facts` bound its dimensions."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._known: dict[int, Span] = {}

    def of(self, tensor: gs.Tensor) -> Span:
        """Smallest and largest element; infinite where nothing is proven."""
        if id(tensor) not in self._known:
            self._known[id(tensor)] = UNKNOWN  # while it is worked out: no graph reads its own result
            self._known[id(tensor)] = self._found(tensor)
        return self._known[id(tensor)]

    def _found(self, tensor: gs.Tensor) -> Span:
        value = self.facts.value(tensor)
        if value is not None and value.size:
            spans = [self.facts.spans.span(one) if isinstance(one, Size) else (float(one), float(one)) for one in value.reshape(-1)]
            return min(low for low, _ in spans), max(high for _, high in spans)
        if isinstance(tensor, gs.Constant) and np.dtype(tensor.dtype).kind not in "iub":
            return UNKNOWN
        known = constant(tensor)
        if known is not None:
            return (float(known.min()), float(known.max())) if known.size and known.dtype.kind in "iub" else UNKNOWN
        kind = np.dtype(tensor.dtype) if tensor.dtype is not None else None
        own = NARROW.get(kind, UNKNOWN) if kind is not None else UNKNOWN
        node = tensor.inputs[0] if len(tensor.inputs) == 1 else None
        rule = RULES.get(node.op) if node is not None and node.domain in (None, "", "ai.onnx") else None
        if rule is None or node is None:
            return own
        low, high = rule(self, node, node.outputs.index(tensor))
        # What overflows its type wraps around, so a wider span than the type's says nothing.
        return (low, high) if low >= own[0] and high <= own[1] else own

    def along(self, tensor: gs.Tensor, axis: int) -> Span:
        """Of the indices into one axis of `tensor`."""
        shape = self.facts.shape(tensor)
        return (0, self.facts.spans.span(shape[axis])[1] - 1) if shape else UNKNOWN


def hull(*spans: Span) -> Span:
    """The smallest span that holds all of them."""
    return min(low for low, _ in spans), max(high for _, high in spans)


def _moved(bounds: Bounds, node: gs.Node, place: int) -> Span:
    return bounds.of(node.inputs[0])


def _joined(bounds: Bounds, node: gs.Node, place: int) -> Span:
    return hull(*(bounds.of(tensor) for tensor in node.inputs if not tensor.is_empty()))


def _cast(bounds: Bounds, node: gs.Node, place: int) -> Span:
    source = node.inputs[0].dtype
    integral = source is not None and np.dtype(source).kind in "iub"
    return bounds.of(node.inputs[0]) if integral and node.attrs["to"] not in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8) else UNKNOWN


def _added(bounds: Bounds, node: gs.Node, place: int) -> Span:
    (a, b), (c, d) = (bounds.of(tensor) for tensor in node.inputs)
    return a + c, b + d


def _subtracted(bounds: Bounds, node: gs.Node, place: int) -> Span:
    (a, b), (c, d) = (bounds.of(tensor) for tensor in node.inputs)
    return a - d, b - c


def _multiplied(bounds: Bounds, node: gs.Node, place: int) -> Span:
    left, right = (bounds.of(tensor) for tensor in node.inputs)
    return times(left, right)


def _divided(bounds: Bounds, node: gs.Node, place: int) -> Span:
    """Rounded towards zero; by what is at least 1 nothing grows."""
    (low, high), (least, _) = (bounds.of(tensor) for tensor in node.inputs)
    return (min(low, 0), max(high, 0)) if least >= 1 else UNKNOWN


def _remainder(bounds: Bounds, node: gs.Node, place: int) -> Span:
    (_, high), (least, most) = (bounds.of(tensor) for tensor in node.inputs)
    return (0, min(most - 1, max(high, 0) if bounds.of(node.inputs[0])[0] >= 0 else math.inf)) if least >= 1 else UNKNOWN


def _negated(bounds: Bounds, node: gs.Node, place: int) -> Span:
    low, high = bounds.of(node.inputs[0])
    return -high, -low


def _least(bounds: Bounds, node: gs.Node, place: int) -> Span:
    spans = [bounds.of(tensor) for tensor in node.inputs]
    return min(low for low, _ in spans), min(high for _, high in spans)


def _most(bounds: Bounds, node: gs.Node, place: int) -> Span:
    spans = [bounds.of(tensor) for tensor in node.inputs]
    return max(low for low, _ in spans), max(high for _, high in spans)


def _clipped(bounds: Bounds, node: gs.Node, place: int) -> Span:
    low, high = bounds.of(node.inputs[0])
    ends = [bounds.of(tensor) if not tensor.is_empty() else UNKNOWN for tensor in node.inputs[1:]]
    low = max(low, ends[0][0]) if ends else low
    return low, min(high, ends[1][1]) if len(ends) > 1 else high


def _chosen(bounds: Bounds, node: gs.Node, place: int) -> Span:
    return hull(*(bounds.of(tensor) for tensor in node.inputs[1:]))


def _counted(bounds: Bounds, node: gs.Node, place: int) -> Span:
    start, limit, step = (bounds.of(tensor) for tensor in node.inputs)
    return (start[0], max(limit[1] - 1, start[0])) if step[0] >= 1 else UNKNOWN


def _best(bounds: Bounds, node: gs.Node, place: int) -> Span:
    return bounds.along(node.inputs[0], node.attrs.get("axis", 0))


def _top(bounds: Bounds, node: gs.Node, place: int) -> Span:
    return bounds.along(node.inputs[0], node.attrs.get("axis", -1)) if place == 1 else bounds.of(node.inputs[0])


def _filled(bounds: Bounds, node: gs.Node, place: int) -> Span:
    fill: Any = node.attrs.get("value")
    value = np.asarray(getattr(fill, "values", fill)).reshape(-1) if fill is not None else np.zeros(1)
    return (float(value[0]), float(value[0])) if np.isfinite(value[0]) else UNKNOWN


def _summed(bounds: Bounds, node: gs.Node, place: int) -> Span:
    """As many elements as lie along the axes."""
    shape = bounds.facts.shape(node.inputs[0])
    axes = given(bounds.facts, node, 1, "axes")
    if shape is None or (axes is None and len(node.inputs) > 1):
        return UNKNOWN
    count: Span = (1, 1)
    for axis in axes if axes is not None else range(len(shape)):
        count = times(count, bounds.facts.spans.span(shape[axis]))
    return times(bounds.of(node.inputs[0]), count)


def _dimension(bounds: Bounds, node: gs.Node, place: int) -> Span:
    shape = bounds.facts.shape(node.inputs[0])
    return hull(*(bounds.facts.spans.span(size) for size in shape)) if shape else (0, math.inf)


RULES: dict[str, Rule] = {
    **dict.fromkeys(("Slice", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Expand", "Tile", "Split"), _moved),
    **dict.fromkeys(("Gather", "GatherElements", "GatherND", "ReduceMax", "ReduceMin", "DepthToSpace"), _moved),
    "Concat": _joined,
    **{"Cast": _cast, "Add": _added, "Sub": _subtracted, "Mul": _multiplied, "Div": _divided, "Mod": _remainder, "Neg": _negated},
    **{"Min": _least, "Max": _most, "Clip": _clipped, "Where": _chosen, "Range": _counted, "ConstantOfShape": _filled},
    **{"ArgMax": _best, "ArgMin": _best, "TopK": _top, "ReduceSum": _summed, "Shape": _dimension},
}
