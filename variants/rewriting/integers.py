"""Which 64-bit integers of a graph may be 32-bit ones, and what it takes at the border.

A tensor may where its values are proven to fit, or where nobody reads them but as indices: sums and products are right modulo
2^32 whatever overflows on the way, and a valid index fits, because no axis is longer than 2^30.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import onnx_graphsurgeon as gs

from variants.graph import constant
from variants.symbolic.bounds import Bounds

LOW, HIGH = -(2**31), 2**31 - 1
LONGEST = 2**30
"""Taken for granted of every free dimension: a tensor with a longer axis fits no GPU once it has a few channels."""
RING = {"Add": (0, 1), "Sub": (0, 1), "Mul": (0, 1), "Neg": (0,)}
MOVES = {
    **dict.fromkeys(("Unsqueeze", "Squeeze", "Reshape", "Transpose", "Flatten", "Expand", "Slice", "Tile", "Identity"), (0,)),
    **{"Gather": (0,), "GatherElements": (0,), "Where": (1, 2)},
}
EXACT = {
    **dict.fromkeys(("Div", "Mod", "Min", "Max"), (0, 1)),
    **dict.fromkeys(("Abs", "ReduceMax", "ReduceMin", "ReduceSum"), (0,)),
    **{"Range": (0, 1, 2), "Clip": (0, 1, 2)},
}
"""Operators whose result needs more than the remainder of their inputs by 2^32."""
COMPARISONS = dict.fromkeys(("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual"), (0, 1))
MAKERS = ("Cast", "ConstantOfShape")
INDICES = {("Gather", 1), ("GatherElements", 1), ("ScatterElements", 1)}
ANY_TYPE = {("Shape", 0), ("Size", 0)}
INT64 = np.dtype(np.int64)


@dataclass(slots=True)
class Narrowing:
    """`narrow` are the tensors, by identity, that become int32; `bounds` what is proven of values."""

    bounds: Bounds
    here: set[int]
    narrow: dict[int, gs.Tensor] = field(default_factory=dict)

    def fits(self, tensor: gs.Tensor) -> bool:
        """Whether all values are proven to be 32-bit ones."""
        low, high = self.bounds.of(tensor)
        return low >= LOW and high <= HIGH

    def joins(self, node: gs.Node) -> bool:
        """Whether a node computes with 32-bit integers: it writes one, or compares one."""
        return any(id(t) in self.narrow for t in node.outputs) or (
            id(node) in self.here and node.op in COMPARISONS and any(id(t) in self.narrow for t in node.inputs)
        )

    def outward(self, tensor: gs.Tensor) -> list[gs.Node]:
        """Readers that go on wanting 64 bits."""
        return [node for node in tensor.outputs if any(t is tensor and self._wide(node, place) for place, t in enumerate(node.inputs))]

    def inward(self, node: gs.Node) -> Iterator[gs.Tensor]:
        """What a joining node reads that is 64 bits wide."""
        for place in positions(node):
            if place < len(node.inputs) and not node.inputs[place].is_empty() and id(node.inputs[place]) not in self.narrow:
                yield node.inputs[place]

    def settle(self) -> None:
        """Drop tensors until what is left is consistent."""
        while dropped := [key for key, tensor in self.narrow.items() if not self._may(tensor)]:
            for key in dropped:
                del self.narrow[key]

    def _wide(self, node: gs.Node, place: int) -> bool:
        if id(node) not in self.here:
            return True
        if (node.op, place) in INDICES | ANY_TYPE or node.op == "Cast":
            return False
        return not (self.joins(node) and place in positions(node))

    def _may(self, tensor: gs.Tensor) -> bool:
        node = tensor.inputs[0]
        if any(not self.fits(source) for source in self.inward(node)):
            return False
        if node.op == "Cast" and not self.fits(tensor):
            return False
        needed = bool(self.outward(tensor)) or node.op in EXACT or any(self._exact(reader) for reader in tensor.outputs)
        partners = [t for reader in tensor.outputs if reader.op in COMPARISONS for t in self.inward(reader)]
        return (not needed or self.fits(tensor)) and all(self.fits(partner) for partner in partners)

    @staticmethod
    def _exact(node: gs.Node) -> bool:
        return node.op in COMPARISONS or node.op in EXACT or node.op == "Cast"


def positions(node: gs.Node) -> tuple[int, ...]:
    """The inputs that have the type of what a node computes with."""
    if node.op == "Concat":
        return tuple(range(len(node.inputs)))
    return (RING | MOVES | EXACT | COMPARISONS).get(node.op, ())


def candidates(graph: gs.Graph, bounds: Bounds) -> dict[int, gs.Tensor]:
    """int64 tensors that a node writes whose operator has a 32-bit form; shapes and what the world reads are none."""
    outside = {id(tensor) for tensor in graph.outputs}
    found = {}
    for node in graph.nodes:
        known = node.op in RING or node.op in MOVES or node.op in EXACT or node.op in MAKERS or node.op == "Concat"
        if not known or node.domain not in (None, "", "ai.onnx") or len(node.outputs) != 1:
            continue
        tensor = node.outputs[0]
        wide = tensor.dtype is not None and np.dtype(tensor.dtype) == INT64 and id(tensor) not in outside
        if wide and bounds.facts.value(tensor) is None and constant(tensor) is None:
            found[id(tensor)] = tensor
    return found


def groups(narrowing: Narrowing, graph: gs.Graph) -> list[list[gs.Node]]:
    """The joining nodes, in parts that share no narrow tensor."""
    joining = [node for node in graph.nodes if narrowing.joins(node)]
    owner: dict[int, int] = {}
    parts: dict[int, list[gs.Node]] = {}
    for node in joining:
        touched = [id(t) for t in (*node.outputs, *node.inputs) if id(t) in narrowing.narrow]
        met = {owner[key] for key in touched if key in owner}
        part = [node, *(other for number in met for other in parts.pop(number))]
        number = id(node)
        parts[number] = part
        for member in part:
            owner.update((id(t), number) for t in (*member.outputs, *member.inputs) if id(t) in narrowing.narrow)
    return list(parts.values())
