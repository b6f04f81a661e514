"""A connected part of a graph computed in another layout, where that leaves fewer layout nodes at its border."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import onnx_graphsurgeon as gs

from variants.graph import constant
from variants.rewriting.carried import BROADCAST, Made, carried, carries, data
from variants.rewriting.layout import Layout, layout
from variants.rewriting.rewire import Wiring
from variants.symbolic.infer import Facts

Members: TypeAlias = dict[int, gs.Node]
Price: TypeAlias = tuple[int, int]
"""Transposes, and layout nodes of all kinds, more than before."""
MOST, PATIENCE = 48, 12
"""Nodes of a region, and how many are tried after the last that paid."""


class Further(Protocol):
    """Operators that a region takes beside those that every layout carries."""

    def takes(self, layout: Layout, node: gs.Node) -> bool:
        """Whether `node` can be computed in `layout`."""
        ...

    def made(self, wiring: Wiring, layout: Layout, node: gs.Node, inputs: list[gs.Tensor]) -> Made:
        """Operator, attributes and inputs there; `inputs` stand for its own."""
        ...


@dataclass(slots=True)
class View:
    """Every tensor v of the region becomes v', with v = layout(v')."""

    wiring: Wiring
    facts: Facts
    layout: Layout
    further: Further | None = None
    twins: dict[int, gs.Tensor] = field(default_factory=dict)

    def takes(self, node: gs.Node) -> bool:
        """Whether `node` can be computed in this view."""
        if node.domain or id(node) not in self.wiring.here or not node.outputs or not node.inputs:
            return False
        if not all(self._shaped(out) for out in node.outputs) or not all(self._fits(node, tensor) for tensor in data(node)):
            return False
        return carries(self.facts, self.wiring, self.layout, node) or self._further(node) is not None

    def _further(self, node: gs.Node) -> Further | None:
        return self.further if self.further is not None and self.further.takes(self.layout, node) else None

    def _shaped(self, tensor: gs.Tensor) -> bool:
        shape = self.facts.shape(tensor)
        return shape is not None and len(shape) == len(self.layout.axes) and all(shape[axis].number == 1 for axis in self.layout.added)

    def _fits(self, node: gs.Node, tensor: gs.Tensor) -> bool:
        rank = self.facts.rank(tensor)
        return rank is not None and (rank == len(self.layout.axes) or (node.op in BROADCAST and rank < len(self.layout.axes)))

    def price(self, members: Members) -> Price:
        """What it costs to compute `members` in this view: below (0, 0) it pays."""
        made = {id(out) for node in members.values() for out in node.outputs}
        moves = nodes = 0
        for tensor in _distinct(tensor for node in members.values() for tensor in data(node)):
            if id(tensor) in made or constant(tensor) is not None or self.facts.rank(tensor) == 0:
                continue
            _, path = self.entry(tensor)
            moves, nodes = moves + path.moves, nodes + path.cost
            before = self._made_by_layout(tensor)
            if before and id(tensor) not in self.wiring.kept and all(id(reader) in members for reader in self.wiring.readers(tensor)):
                moves, nodes = moves - before.moves, nodes - 1
        for tensor in (out for node in members.values() for out in node.outputs):
            plain = id(tensor) in self.wiring.kept
            for reader in self.wiring.readers(tensor):
                path_out = self._read_by_layout(reader)
                if id(reader) in members:
                    continue
                plain |= path_out is None
                if path_out is not None:
                    joined = self.layout.then(path_out)
                    moves, nodes = moves + joined.moves - path_out.moves, nodes + joined.cost - 1
            moves, nodes = moves + plain * self.layout.moves, nodes + plain * self.layout.cost
        return moves, nodes

    def entry(self, tensor: gs.Tensor) -> tuple[gs.Tensor, Layout]:
        """Of a tensor from outside: the tensor and the layout of it that stand for it inside."""
        rank, wide = self.facts.rank(tensor) or 0, len(self.layout.axes)
        padded = Layout((*[None] * (wide - rank), *range(rank)), rank)
        back = self.layout.inverse()
        before = self._made_by_layout(tensor)
        if before is not None:
            return tensor.inputs[0].inputs[0], before.then(padded).then(back)
        return tensor, padded.then(back)

    def _made_by_layout(self, tensor: gs.Tensor) -> Layout | None:
        node = self.wiring.producer(tensor)
        return layout(self.facts, node) if node is not None else None

    def _read_by_layout(self, node: gs.Node) -> Layout | None:
        return layout(self.facts, node) if id(node) in self.wiring.here else None

    def grown(self, start: gs.Node) -> tuple[Price, Members]:
        """The cheapest region around `start` that adding one neighbour after another comes to."""
        members: Members = {id(start): start}
        best, chosen, since = self.price(members), dict(members), 0
        refused: set[int] = set()
        while len(members) < MOST and since < PATIENCE:
            tried: list[tuple[Price, int, gs.Node]] = []
            for node in self._neighbours(members, refused):
                if self.takes(node):
                    tried.append((self.price(members | {id(node): node}), len(tried), node))
                else:
                    refused.add(id(node))
            if not tried:
                break
            price, _, node = min(tried, key=lambda one: one[:2])
            members[id(node)] = node
            since += 1
            if price < best:
                best, chosen, since = price, dict(members), 0
        return best, chosen

    def _neighbours(self, members: Members, refused: set[int]) -> Iterator[gs.Node]:
        seen = set(members) | refused
        for node in list(members.values()):
            sources = [tensor for tensor in data(node) if constant(tensor) is None]
            makers = [maker for tensor in sources if (maker := self.wiring.producer(tensor)) is not None]
            for other in (*makers, *(reader for tensor in (*node.outputs, *sources) for reader in self.wiring.readers(tensor))):
                if id(other) not in seen:
                    seen.add(id(other))
                    yield other

    def rewrite(self, members: Members) -> None:
        """Compute `members` in this view; what reads them from outside reads the same as before."""
        for node in members.values():
            self._convert(node, members)
        outputs = [out for node in members.values() for out in node.outputs]
        outside = [(out, [reader for reader in self.wiring.readers(out) if id(reader) not in members]) for out in outputs]
        for node in members.values():
            node.inputs.clear()
            node.outputs.clear()
        for out, readers in outside:
            self._leave(out, readers)
        self.wiring.sweep()

    def _leave(self, out: gs.Tensor, readers: list[gs.Node]) -> None:
        twin, plain = self.twins[id(out)], id(out) in self.wiring.kept
        for reader in readers:
            path = self._read_by_layout(reader)
            plain |= path is None
            if path is not None:
                result = reader.outputs[0]
                self.wiring.bypass(reader, self.layout.then(path).write(self.wiring, self.facts, twin, result.name))
        if plain:
            made = self.layout.write(self.wiring, self.facts, twin, out.name)
            made.inputs[0].outputs = [out]

    def _convert(self, node: gs.Node, members: Members) -> None:
        if id(node.outputs[0]) in self.twins:
            return
        wanted = {id(tensor) for tensor in data(node)}
        inputs = [self._twin(tensor, members) if id(tensor) in wanted else tensor for tensor in node.inputs]
        further = self._further(node)
        if further is not None:
            op, attrs, sources = further.made(self.wiring, self.layout, node, inputs)
        else:
            op, attrs, sources = carried(self.facts, self.wiring, self.layout, node, inputs)
        back, twins = self.layout.inverse(), []
        for out in node.outputs:
            twin = gs.Variable(self.wiring.name(f"{out.name}/moved"), out.dtype)
            self.facts.shapes[id(twin)] = back.shape(self.facts.shape(out) or ())
            self.twins[id(out)] = twin
            twins.append(twin)
        self.wiring.add(gs.Node(op, f"{twins[0].name}/{op}", attrs, sources, twins))

    def _twin(self, tensor: gs.Tensor, members: Members) -> gs.Tensor:
        if id(tensor) in self.twins:
            return self.twins[id(tensor)]
        value = constant(tensor)
        maker = self.wiring.producer(tensor)
        if value is not None:
            self.twins[id(tensor)] = self._constant(tensor) if value.size > 1 or value.ndim > self.layout.rank else tensor
        elif maker is not None and id(maker) in members:
            self._convert(maker, members)
        elif self.facts.rank(tensor) == 0:
            return tensor
        else:
            source, path = self.entry(tensor)
            self.twins[id(tensor)] = path.write(self.wiring, self.facts, source, f"{tensor.name}/moved")
        return self.twins[id(tensor)]

    def _constant(self, tensor: gs.Tensor) -> gs.Tensor:
        """In the source's layout, with no more leading ones than it had."""
        value = constant(tensor)
        assert value is not None
        wide = value.reshape((1,) * (len(self.layout.axes) - value.ndim) + value.shape)
        moved = self.layout.inverse().array(wide)
        while moved.ndim > value.ndim and moved.shape[0] == 1:
            moved = moved[0]
        return self.wiring.constant(moved.copy(), f"{tensor.name}/moved")


def _distinct(tensors: Iterable[gs.Tensor]) -> list[gs.Tensor]:
    return list({id(tensor): tensor for tensor in tensors}.values())


def seeds(wiring: Wiring, facts: Facts) -> Iterator[tuple[gs.Node, Layout, gs.Node]]:
    """Layout nodes, and where each could be moved: forwards over what reads it, backwards over what it reads; no shape arithmetic."""
    for node in list(wiring.graph.nodes):
        if node.outputs and node.inputs and facts.value(node.outputs[0]) is None and (move := layout(facts, node)) and len(move.axes) > 1:
            for reader in wiring.readers(node.outputs[0]):
                yield node, move, reader
            maker = wiring.producer(node.inputs[0])
            if maker is not None and move.rank > 1:
                yield node, move.inverse(), maker
