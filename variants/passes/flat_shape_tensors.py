"""Compute what a Pad, Reshape, Expand or Tile is told on flat vectors, where exporters arrange it in a matrix.

Reshape(Transpose(Slice(Reshape(p, [-1, 2]), ::-1)), [-1]) -> Gather(p, [6, 4, 2, 0, 7, 5, 3, 1])

torch reverses the amounts of a padding so. TensorRT has known shape tensors of one dimension only (docs/obstacles.md).
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
import onnx_graphsurgeon as gs

from variants.graph import constant
from variants.graph_pass import Stage, surgeon
from variants.variant import Array

TOLD = {("Pad", 1), ("Reshape", 1), ("Expand", 1), ("Tile", 1), ("ConstantOfShape", 0)}
"""(operator, input) of what must be one-dimensional."""
SAME_ORDER = ("Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity")
ELEMENTWISE = {
    *("Add", "Sub", "Mul", "Div", "Mod", "Max", "Min", "Neg", "Abs", "Cast", "Where"),
    *("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "And", "Or"),
}
MOST = 64
"""Elements: a shape has few, and what has more is data."""


def rewrite(graph: gs.Graph) -> tuple[gs.Graph, int]:
    """Every such input in whose making a matrix of known size occurs; others, and what cannot be flattened, are left alone."""
    count = 0
    for node in list(graph.nodes):
        for place, tensor in enumerate(node.inputs):
            if (node.op, place) in TOLD and _matrix_within(tensor):
                made: list[gs.Node] = []
                flat = _Flattener(made, f"{tensor.name}/flat").flat(tensor)
                if flat is not None:
                    graph.nodes.extend(made)
                    node.inputs[place] = flat
                    count += 1
    return graph, count


def _matrix_within(tensor: gs.Tensor) -> bool:
    """Whether a tensor of two dimensions or more is computed on the way to `tensor`, through what can be flattened."""
    if not tensor.inputs or constant(tensor) is not None or _size(tensor) is None:
        return False
    if len(tensor.shape) > 1:
        return True
    node = tensor.inputs[0]
    return _can_flatten(node) and any(_matrix_within(source) for source in node.inputs)


def _can_flatten(node: gs.Node) -> bool:
    return node.op in ELEMENTWISE or node.op in SAME_ORDER or node.op == "Concat" or node.op in MOVED


def _size(tensor: gs.Tensor) -> int | None:
    """The elements of a small tensor whose shape is known."""
    shape = tensor.shape
    if shape is None or not all(isinstance(size, int) for size in shape) or prod(shape) > MOST:
        return None
    return int(prod(shape))


class _Flattener:
    """Makes the flat twin of a tensor; `nodes` takes what it needs."""

    def __init__(self, nodes: list[gs.Node], name: str) -> None:
        self.nodes, self.name, self.count = nodes, name, 0
        self.known: dict[int, gs.Tensor | None] = {}
        self.orders: dict[int, tuple[gs.Tensor, Array]] = {}

    def flat(self, tensor: gs.Tensor) -> gs.Tensor | None:
        """One dimension with the elements of `tensor` in order; None where it cannot be had."""
        if id(tensor) not in self.known:
            self.known[id(tensor)] = self._made(tensor)
        return self.known[id(tensor)]

    def _made(self, tensor: gs.Tensor) -> gs.Tensor | None:
        value = constant(tensor)
        if value is not None:
            return gs.Constant(self._next(), np.ascontiguousarray(value).reshape(-1))
        if _size(tensor) is None:
            return None
        if len(tensor.shape) == 1 and not _matrix_within(tensor):
            return tensor
        node = tensor.inputs[0] if tensor.inputs else None
        if node is None or not _can_flatten(node):
            return None
        if node.op in SAME_ORDER:
            return self._source(node.inputs[0])
        if node.op in MOVED:
            order = _order(node, np.arange(_size(node.inputs[0]) or 0))
            return None if order is None else self._gathered(self._source(node.inputs[0]), order)
        if node.op == "Concat":
            return self._concatenated(node, tensor)
        return self._elementwise(node, tensor)

    def _source(self, tensor: gs.Tensor) -> gs.Tensor | None:
        """Like `flat`, and a scalar becomes a vector of one."""
        flat = self.flat(tensor)
        if flat is None and tensor.shape is not None and len(tensor.shape) == 0:
            return self._node("Unsqueeze", [tensor, gs.Constant(self._next(), np.zeros(1, np.int64))], tensor.dtype, 1)
        return flat

    def _gathered(self, flat: gs.Tensor | None, order: Array) -> gs.Tensor | None:
        if flat is None or np.array_equal(order, np.arange(flat.shape[0])):
            return flat
        source, before = self.orders.get(id(flat), (flat, None))
        order = order if before is None else before[order]
        made = self._node("Gather", [source, gs.Constant(self._next(), order.astype(np.int64))], flat.dtype, order.size, axis=0)
        self.orders[id(made)] = (source, order)
        return made

    def _concatenated(self, node: gs.Node, tensor: gs.Tensor) -> gs.Tensor | None:
        parts = [self._source(source) for source in node.inputs]
        sizes = [_size(source) for source in node.inputs]
        if any(part is None for part in parts) or any(size is None for size in sizes):
            return None
        starts = np.cumsum([0, *sizes])
        places = np.split(np.arange(starts[-1]), starts[1:-1])
        shaped = [place.reshape(source.shape) for place, source in zip(places, node.inputs, strict=True)]
        whole = self._node("Concat", parts, tensor.dtype, int(starts[-1]), axis=0)
        return self._gathered(whole, np.concatenate(shaped, axis=node.attrs["axis"]).reshape(-1))

    def _elementwise(self, node: gs.Node, tensor: gs.Tensor) -> gs.Tensor | None:
        parts = []
        for source in node.inputs:
            size = _size(source)
            if size is None:
                return None
            spread = np.broadcast_to(np.arange(size).reshape(source.shape), tensor.shape)
            parts.append(self._gathered(self._source(source), spread.reshape(-1)))
        if any(part is None for part in parts):
            return None
        return self._node(node.op, parts, tensor.dtype, _size(tensor) or 0, **node.attrs)

    def _node(self, op: str, inputs: list[gs.Tensor | None], dtype: object, size: int, **attributes: object) -> gs.Variable:
        made = gs.Variable(self._next(), dtype, [size])
        self.nodes.append(gs.Node(op, made.name, dict(attributes), inputs, [made]))
        return made

    def _next(self) -> str:
        self.count += 1
        return f"{self.name}/{self.count}"


def _order(node: gs.Node, places: Array) -> Array | None:
    """Which element of the source each element of a move's result is, flat; None where a parameter is not known."""
    parameters = [constant(tensor) for tensor in node.inputs[1:]]
    if any(parameter is None for parameter in parameters) or (node.op == "Slice" and len(parameters) < 2):
        return None
    moved = MOVED[node.op](node, places.reshape(node.inputs[0].shape), [np.asarray(parameter) for parameter in parameters])
    return moved.reshape(-1)


def _slice(node: gs.Node, places: Array, given: list[Array]) -> Array:
    starts, ends, *rest = given
    axes = rest[0] if rest else np.arange(len(starts))
    steps = rest[1] if len(rest) > 1 else np.ones(len(starts), np.int64)
    index = [slice(None)] * places.ndim
    for start, end, axis, step in zip(starts.tolist(), ends.tolist(), axes.tolist(), steps.tolist(), strict=True):
        backwards_to_first = step < 0 and end < -places.shape[axis]
        index[axis] = slice(start, None if backwards_to_first else end, step)
    return places[tuple(index)]


MOVED: dict[str, Callable[[gs.Node, Array, list[Array]], Array]] = {
    "Transpose": lambda node, places, _: places.transpose(node.attrs.get("perm")),
    "Slice": _slice,
    "Expand": lambda node, places, given: np.broadcast_to(places, np.broadcast_shapes(places.shape, tuple(given[0]))),
    "Tile": lambda node, places, given: np.tile(places, given[0]),
    "Gather": lambda node, places, given: np.take(places, given[0], axis=node.attrs.get("axis", 0)),
}

flat_shape_tensors = surgeon(rewrite, stage=Stage.REPAIR)
