"""The tensors that have one set of channels in common, from the products that make them to those that sum over them.

Padding such a region with channels of zero weights changes no result: whatever an activation makes of the new channels, the
next product's new rows are zero. What needs the channels as they were (a norm, a softmax, heads, the world) gets them cropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_graphsurgeon as gs

from variants.graph import constant
from variants.symbolic.infer import Facts
from variants.variant import Array

FINITE = {
    *("Relu", "Gelu", "Erf", "Sigmoid", "Tanh", "LeakyRelu", "HardSwish", "HardSigmoid", "Elu", "Selu", "Softplus", "Mish"),
    *("Neg", "Abs", "Sin", "Cos", "Identity", "Cast"),
}
"""Activations that are finite wherever their input is: zero times infinity would reach the results. Sqrt and Log are not."""
POOLS = {"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"}
BINARY = {"Add", "Sub", "Mul", "Div", "Pow"}
PRODUCTS = {"MatMul", "Gemm", "Conv"}


@dataclass(slots=True)
class Region:
    """`tensors` have `count` channels at their `axis` of `rank` axes, as inferred; `makers` write them from weights, `sums` read
    them with weights. `through` are the nodes in between, `cropped` the tensors with a reader that needs the channels as they
    were; `obstacle` says why the region cannot be padded at all.
    """

    count: int
    axis: dict[int, int] = field(default_factory=dict)
    rank: dict[int, int] = field(default_factory=dict)
    tensors: list[gs.Tensor] = field(default_factory=list)
    makers: dict[int, gs.Node] = field(default_factory=dict)
    sums: dict[int, gs.Node] = field(default_factory=dict)
    through: dict[int, gs.Node] = field(default_factory=dict)
    cropped: dict[int, gs.Tensor] = field(default_factory=dict)
    obstacle: str = ""


def made_channels(node: gs.Node) -> int:
    """How many channels a product by constant weights makes; 0 where it is none, or one in groups."""
    if node.op not in PRODUCTS or len(node.outputs) != 1 or node.domain not in (None, "", "ai.onnx"):
        return 0
    shape = _weight_shape(node)
    if shape is None or (node.op != "Conv" and len(shape) != 2) or (node.op == "Conv" and node.attrs.get("group", 1) != 1):
        return 0
    if node.op == "Gemm" and len(node.inputs) > 2 and not _fits_bias(node.inputs[2], shape[0 if node.attrs.get("transB") else 1]):
        return 0
    if node.op == "Conv" and len(node.inputs) > 2 and constant(node.inputs[2]) is None:
        return 0
    return int(shape[made_axis(node)])


def made_axis(node: gs.Node) -> int:
    """The axis of a product's weight that makes the channels; the other one is summed over."""
    return 0 if node.op == "Conv" or (node.op == "Gemm" and node.attrs.get("transB")) else 1


def region(facts: Facts, graph: gs.Graph, maker: gs.Node) -> Region:
    """All that shares the channels which `maker` makes."""
    found = Region(made_channels(maker))
    finder = _Finder(facts, {id(node) for node in graph.nodes}, {id(tensor) for tensor in graph.outputs}, found)
    finder.add(maker.outputs[0], 1 if maker.op == "Conv" else -1)
    while finder.waiting and not found.obstacle:
        finder.visit(finder.waiting.pop())
    return found


class _Finder:
    def __init__(self, facts: Facts, here: set[int], outside: set[int], found: Region) -> None:
        self.facts, self.here, self.outside, self.found = facts, here, outside, found
        self.waiting: list[gs.Tensor] = []

    def add(self, tensor: gs.Tensor, axis: int) -> None:
        """A tensor of the region; `axis` may count from the end."""
        shape = self.facts.shape(tensor)
        if shape is None or not -len(shape) <= axis < len(shape) or shape[axis].number != self.found.count:
            self.found.obstacle = f"the channels of '{tensor.name}' are not known to be {self.found.count}"
            return
        axis %= len(shape)
        self.found.rank[id(tensor)] = len(shape)
        if self.found.axis.setdefault(id(tensor), axis) != axis:
            self.found.obstacle = f"'{tensor.name}' has the channels in two places"
        if tensor not in self.found.tensors:
            self.found.tensors.append(tensor)
            self.waiting.append(tensor)

    def visit(self, tensor: gs.Tensor) -> None:
        """Its maker and its readers."""
        axis = self.found.axis[id(tensor)]
        maker = tensor.inputs[0] if len(tensor.inputs) == 1 else None
        if maker is None or id(maker) not in self.here:
            self.found.obstacle = f"'{tensor.name}' comes from outside"
        elif made_channels(maker) == self.found.count and self._makes_at(maker, tensor, axis):
            self.found.makers[id(maker)] = maker
        elif not self._passes(maker, axis):
            self.found.obstacle = f"{maker.op} makes the channels of '{tensor.name}'"
        if id(tensor) in self.outside:
            self.found.cropped[id(tensor)] = tensor
        for reader in tensor.outputs:
            if id(reader) in self.here and self._sums(reader, tensor, axis):
                self.found.sums[id(reader)] = reader
            elif id(reader) not in self.here or not self._passes(reader, axis):
                self.found.cropped[id(tensor)] = tensor

    def _makes_at(self, node: gs.Node, tensor: gs.Tensor, axis: int) -> bool:
        return axis == (1 if node.op == "Conv" else len(self.facts.shape(tensor) or ()) - 1)

    def _sums(self, node: gs.Node, tensor: gs.Tensor, axis: int) -> bool:
        if node.op not in PRODUCTS or node.inputs[0] is not tensor or any(other is tensor for other in node.inputs[1:]):
            return False
        shape, rank = _weight_shape(node), len(self.facts.shape(tensor) or ())
        if shape is None or node.attrs.get("transA") or (node.op != "Conv" and len(shape) != 2):
            return False
        return (
            node.attrs.get("group", 1) == 1
            and axis == (1 if node.op == "Conv" else rank - 1)
            and shape[1 - made_axis(node)] == self.found.count
        )

    def _passes(self, node: gs.Node, axis: int) -> bool:
        """Whether a node works on each channel alone; what else of the region it touches is added."""
        if id(node) in self.found.through:
            return True
        if len(node.outputs) != 1 or node.domain not in (None, "", "ai.onnx"):
            return False
        touched = _touched(self.facts, node, axis, self.found.count)
        if touched is None:
            return False
        self.found.through[id(node)] = node
        for tensor in (*touched, node.outputs[0]):
            self.add(tensor, axis)
        return True


def _touched(facts: Facts, node: gs.Node, axis: int, count: int) -> Sequence[gs.Tensor] | None:
    """The inputs that hold channels, None where the node mixes channels or could make of zeros what is not finite."""
    if node.op in FINITE or (node.op in POOLS and axis == 1):
        return [node.inputs[0]]
    if node.op == "Conv" and axis == 1 and node.attrs.get("group", 1) == count and list(_weight_shape(node) or ())[:2] == [count, 1]:
        return [node.inputs[0]] if all(constant(tensor) is not None for tensor in node.inputs[1:]) else None
    return _operands(facts, node, axis, count) if node.op in BINARY else None


def _operands(facts: Facts, node: gs.Node, axis: int, count: int) -> Sequence[gs.Tensor] | None:
    held = [constant(tensor) for tensor in node.inputs]
    shape = facts.shape(node.outputs[0])
    channels = [tensor for tensor, value in zip(node.inputs, held, strict=True) if value is None]
    if shape is None or not channels or any(facts.rank(tensor) != len(shape) for tensor in channels):
        return None
    if node.op in ("Div", "Pow") and not _is_tame(node.op, held[1]):
        return None
    for value in held:
        back = axis - len(shape)
        if value is not None and (value.ndim > len(shape) or (value.ndim >= -back and value.shape[back] not in (1, count))):
            return None
    return channels


def _is_tame(op: str, right: Array | None) -> bool:
    """Whether dividing by it, or raising to it, makes something finite of any finite number."""
    if right is None:
        return False
    return not np.any(right == 0) if op == "Div" else bool(np.all((right > 0) & (right == np.round(right))))


def _weight_shape(node: gs.Node) -> tuple[int, ...] | None:
    if len(node.inputs) < 2:
        return None
    weight = node.inputs[1]
    if isinstance(weight, gs.Constant):
        return tuple(weight.shape)
    known = constant(weight)
    return None if known is None else known.shape


def _fits_bias(tensor: gs.Tensor, count: int) -> bool:
    known = constant(tensor)
    return known is not None and (known.size == 1 or (known.ndim in (1, 2) and known.shape[-1] == count))
