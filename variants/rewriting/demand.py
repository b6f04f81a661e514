"""Which nodes of a graph are needed for some rows of an axis only, found from what picks those rows backwards."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import onnx_graphsurgeon as gs

from variants.graph import constant
from variants.rewriting.rewire import Wiring
from variants.rewriting.rowwise import Needed, RowWise
from variants.rewriting.selection import Selection
from variants.rewriting.slicing import spans

COSTLY = {
    *("MatMul", "Gemm", "Attention", "MultiHeadAttention", "LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization"),
    *("SkipLayerNormalization", "SkipSimplifiedLayerNormalization", "Softmax", "ReduceMean"),
}
"""What takes longer than a Slice of its input: products, attention, norms (a ReduceMean stands for one in single nodes)."""


@dataclass(frozen=True, slots=True)
class Member:
    """A node whose outputs are needed for some rows of `axis` only; so are its inputs, as `needed` says."""

    node: gs.Node
    axis: int
    needed: Needed


@dataclass(slots=True)
class Region:
    """Connected members in topological order, and the selections behind them."""

    members: list[Member] = field(default_factory=list)
    selections: list[Selection] = field(default_factory=list)

    def pays(self) -> bool:
        """Whether it holds anything that takes longer than the Slices at its border."""
        return any(member.node.op in COSTLY for member in self.members)


class Demand:
    """Of one graph in topological order; `selections` by the `id` of their node pick the same rows, each of an axis of its own."""

    def __init__(self, rowwise: RowWise, selections: Mapping[int, Selection]) -> None:
        self.rowwise, self.selections = rowwise, selections
        self.wiring: Wiring = rowwise.wiring
        self.members: dict[int, Member] = {}
        self._slots = {(key, 0): one.axis for key, one in selections.items()}
        """(id of a node, input) -> axis of which the rows are enough."""
        for node in reversed(self.wiring.graph.nodes):
            if id(node) not in selections and (member := self._member(node)) is not None:
                self.members[id(node)] = member
                self._slots.update({(id(node), place): axis for place, axis in member.needed.items()})

    def _member(self, node: gs.Node) -> Member | None:
        axes = {self.axis(node.outputs[place]) for place in self.rowwise.live(node)}
        axis = axes.pop() if len(axes) == 1 else None
        needed = self.rowwise.needed(node, axis) if axis is not None else None
        return None if axis is None or needed is None else Member(node, axis, needed)

    def axis(self, tensor: gs.Tensor) -> int | None:
        """The axis of which the rows are all that is needed of `tensor`; None where more is, or nothing."""
        if id(tensor) in self.wiring.kept:
            return None
        axes: set[int | None] = set()
        sizes = []
        for reader in self.wiring.readers(tensor):
            if reader.op == "Shape" and not reader.domain and id(reader) in self.wiring.here:
                sizes.append(reader)
                continue
            axes.update(self._slots.get((id(reader), place)) for place, source in enumerate(reader.inputs) if source is tensor)
        axis = axes.pop() if len(axes) == 1 else None
        return axis if axis is not None and all(self._spared(reader, axis) for reader in sizes) else None

    def _spared(self, shape: gs.Node, axis: int) -> bool:
        """Whether of these sizes only those of other axes are read."""
        rank = self.rowwise.facts.rank(shape.inputs[0])
        if rank is None or id(shape.outputs[0]) in self.wiring.kept:
            return False
        known = range(rank)[slice(shape.attrs.get("start", 0), shape.attrs.get("end"))]
        return all(self._picks_others(reader, known, axis) for reader in self.wiring.readers(shape.outputs[0]))

    def _picks_others(self, reader: gs.Node, axes: range, axis: int) -> bool:
        if id(reader) not in self.wiring.here or reader.domain:
            return False
        if reader.op == "Gather":
            places = constant(reader.inputs[1])
            return places is not None and all(axes[int(place)] != axis for place in places.reshape(-1))
        cuts = spans(self.rowwise.facts, reader) if reader.op == "Slice" else None
        return cuts is not None and set(cuts) == {0} and axis not in [axes[place] for place in cuts[0].of(len(axes))]

    def regions(self) -> Iterator[Region]:
        """Connected by tensors that are needed for these rows only; one without members is a selection that nothing stands in front of."""
        part: dict[int, int] = {}
        for key in (*self.selections, *self.members):
            if key not in part:
                self._spread(key, part)
        found: dict[int, Region] = {}
        for node in self.wiring.graph.nodes:
            if id(node) in self.members:
                found.setdefault(part[id(node)], Region()).members.append(self.members[id(node)])
        for key, one in self.selections.items():
            found.setdefault(part[key], Region()).selections.append(one)
        yield from found.values()

    def _spread(self, start: int, part: dict[int, int]) -> None:
        nodes = {key: one.node for key, one in self.selections.items()} | {key: one.node for key, one in self.members.items()}
        waiting = deque([start])
        part[start] = start
        while waiting:
            key = waiting.popleft()
            for other in self._neighbours(nodes[key], key):
                if other in nodes and other not in part:
                    part[other] = start
                    waiting.append(other)

    def _neighbours(self, node: gs.Node, key: int) -> Iterator[int]:
        places = self.members[key].needed if key in self.members else [0]
        yield from (id(maker) for place in places for maker in node.inputs[place].inputs if id(maker) in self.members)
        if key in self.members:
            yield from (id(reader) for out in node.outputs for reader in out.outputs)
