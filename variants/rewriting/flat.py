"""A connected part of a graph computed on matrices: every tensor [..., k] in it becomes [rows, k], by one pair of Reshapes around it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import onnx_graphsurgeon as gs

from variants.graph import constant
from variants.rewriting.carried import BROADCAST, carried, carries, data
from variants.rewriting.layout import Layout
from variants.rewriting.regions import Members
from variants.rewriting.reshaping import SAME_ORDER, independent, reshaped, target
from variants.rewriting.rewire import Wiring
from variants.symbolic.infer import Facts, Shape
from variants.symbolic.sizes import sized


@dataclass(slots=True)
class FlatView:
    """Of tensors of the shape (*lead, k), k a number; `product` says which MatMul the matrices are for."""

    wiring: Wiring
    facts: Facts
    lead: Shape
    product: Callable[[gs.Node], bool]
    twins: dict[int, gs.Tensor] = field(default_factory=dict)
    sizes: gs.Tensor | None = None
    """The lead as a tensor, made when the first Reshape back needs it."""

    def takes(self, node: gs.Node) -> bool:
        """Whether `node` computes the same row by row."""
        if node.domain or id(node) not in self.wiring.here or not node.outputs or not node.inputs:
            return False
        outputs = [out for out in node.outputs if out.outputs or id(out) in self.wiring.kept]
        if not all(self._led(out) for out in outputs) or not all(self._fits(node, tensor) for tensor in data(node)):
            return False
        return self.product(node) or carries(self.facts, self.wiring, self._rows(), node)

    def _rows(self) -> Layout:
        """Of the axes, the last alone is still there."""
        return Layout((*[None] * len(self.lead), 1), 2)

    def _led(self, tensor: gs.Tensor) -> bool:
        shape = self.facts.shape(tensor)
        return shape is not None and shape[:-1] == self.lead and shape[-1].number is not None and shape[-1].number > 0

    def _fits(self, node: gs.Node, tensor: gs.Tensor) -> bool:
        value = constant(tensor)
        if value is not None:
            one_row = value.size == (value.shape[-1] if value.ndim else 1)
            return node.op in BROADCAST and value.ndim <= len(self.lead) + 1 and one_row
        return self._led(tensor) or (node.op in BROADCAST and self.facts.rank(tensor) == 0)

    def component(self, start: gs.Node) -> Members:
        """All that is connected with `start` and computes row by row."""
        members, waiting, seen = {}, deque([start]), {id(start)}
        while waiting:
            node = waiting.popleft()
            if self.takes(node):
                members[id(node)] = node
                for other in self._neighbours(node):
                    if id(other) not in seen:
                        seen.add(id(other))
                        waiting.append(other)
        return members

    def _neighbours(self, node: gs.Node) -> Iterator[gs.Node]:
        for tensor in data(node):
            if self._led(tensor) and (maker := self.wiring.producer(tensor)) is not None:
                yield maker
        for out in node.outputs:
            yield from self.wiring.readers(out)

    def pruned(self, members: Members, needed: set[int]) -> Members:
        """Without what saves no Reshape; `needed` stay."""
        members = dict(members)
        waiting = deque(node for node in members.values() if id(node) not in needed)
        while waiting:
            node = waiting.popleft()
            if id(node) not in members:
                continue
            touched = [*data(node), *node.outputs]
            before = sum(self._reshapes(tensor, members) for tensor in touched)
            del members[id(node)]
            if sum(self._reshapes(tensor, members) for tensor in touched) > before:
                members[id(node)] = node
            else:
                waiting.extend(other for other in self._neighbours(node) if id(other) in members and id(other) not in needed)
        return members

    def price(self, members: Members) -> int:
        """The nodes that come around `members`: Reshapes that are not there already, and what computes the sizes of those back."""
        touched = {id(tensor): tensor for node in members.values() for tensor in (*data(node), *node.outputs)}
        made = {id(out) for node in members.values() for out in node.outputs}
        reshapes = [tensor for tensor in touched.values() if self._reshapes(tensor, members)]
        computed = [tensor for tensor in reshapes if id(tensor) in made and not _by_numbers(self.facts.shape(tensor) or ())]
        return len(reshapes) + len(computed) + SIZES * bool(computed)

    def _reshapes(self, tensor: gs.Tensor, members: Members) -> int:
        """How many Reshapes a tensor at the border needs: none where one is there already, and takes their part."""
        maker = self.wiring.producer(tensor)
        readers = self.wiring.readers(tensor)
        if maker is not None and id(maker) in members:
            return int(id(tensor) in self.wiring.kept or any(id(r) not in members and not self._follows(r) for r in readers))
        if constant(tensor) is not None or self.facts.rank(tensor) == 0 or not any(id(reader) in members for reader in readers):
            return 0
        return int(not self._given_by_reshape(tensor, members))

    def _given_by_reshape(self, tensor: gs.Tensor, members: Members) -> bool:
        inside = all(id(reader) in members for reader in self.wiring.readers(tensor)) and id(tensor) not in self.wiring.kept
        return inside and self.wiring.producer(tensor, *SAME_ORDER) is not None

    def _follows(self, reader: gs.Node) -> bool:
        """Whether it is a Reshape that can read the matrix instead."""
        if id(reader) not in self.wiring.here or reader.op not in SAME_ORDER:
            return False
        flat = self._flat(self.facts.shape(reader.inputs[0]) or ())
        return independent(self.facts, flat, reader) or target(flat, self.facts.shape(reader.outputs[0])) is not None

    def _flat(self, shape: Shape) -> Shape:
        rows = sized(1)
        for size in self.lead:
            rows = rows * size
        return (rows, shape[-1])

    def rewrite(self, members: Members) -> None:
        """Compute `members` on matrices; what reads them from outside reads the same as before."""
        inputs = [tensor for node in members.values() for tensor in data(node) if self._led(tensor) and constant(tensor) is None]
        made = {id(out) for node in members.values() for out in node.outputs}
        shaped = next(tensor for tensor in inputs if id(tensor) not in made and not _depends(tensor, members))
        for node in _ordered(members):
            self._convert(node, members)
        outside = [(out, [r for r in self.wiring.readers(out) if id(r) not in members]) for n in members.values() for out in n.outputs]
        for node in members.values():
            node.inputs.clear()
            node.outputs.clear()
        for out, readers in outside:
            left = [r for r in readers if not (self._follows(r) and reshaped(self.wiring, self.facts, self.twins[id(out)], r))]
            if left or id(out) in self.wiring.kept:
                self._back(out, shaped)
        self.wiring.sweep()

    def _back(self, out: gs.Tensor, shaped: gs.Tensor) -> None:
        """`out` as the Reshape of its matrix: by numbers and one -1, or by the sizes of a tensor that came in."""
        shape = self.facts.shape(out) or ()
        if _by_numbers(shape):
            sizes = [-1 if size.number is None else size.number for size in shape]
            goal: gs.Tensor = self.wiring.constant(np.array(sizes, np.int64), f"{out.name}/shape")
        else:
            if self.sizes is None:
                whole = self.wiring.node("Shape", [shaped], f"{shaped.name}/sizes", np.int64)
                places = self.wiring.constant(np.arange(len(self.lead)), f"{shaped.name}/leading")
                self.sizes = self.wiring.node("Gather", [whole, places], f"{shaped.name}/lead", np.int64, axis=0)
            last = self.wiring.constant(np.array([shape[-1].number], np.int64), f"{out.name}/last")
            goal = self.wiring.node("Concat", [self.sizes, last], f"{out.name}/shape", np.int64, axis=0)
        self.wiring.add(gs.Node("Reshape", f"{out.name}/Reshape", {}, [self.twins[id(out)], goal], [out]))

    def _convert(self, node: gs.Node, members: Members) -> None:
        wanted = {id(tensor) for tensor in data(node)}
        inputs = [self._twin(tensor, members) if id(tensor) in wanted else tensor for tensor in node.inputs]
        op, attrs, sources = ("MatMul", {}, inputs) if self.product(node) else carried(self.facts, self.wiring, self._rows(), node, inputs)
        outputs = []
        for out in node.outputs:
            twin = gs.Variable(self.wiring.name(f"{out.name}/flat"), out.dtype)
            self.facts.shapes[id(twin)] = self._flat(self.facts.shape(out) or (sized(1),))
            self.twins[id(out)] = twin
            outputs.append(twin)
        self.wiring.add(gs.Node(op, f"{outputs[0].name}/{op}", attrs, sources, outputs))

    def _twin(self, tensor: gs.Tensor, members: Members) -> gs.Tensor:
        if id(tensor) not in self.twins:
            value = constant(tensor)
            if value is not None:
                narrow = value.ndim <= 1
                self.twins[id(tensor)] = tensor if narrow else self.wiring.constant(value.reshape(-1), f"{tensor.name}/flat")
            elif self.facts.rank(tensor) == 0:
                self.twins[id(tensor)] = tensor
            else:
                source = tensor.inputs[0].inputs[0] if self._given_by_reshape(tensor, members) else tensor
                last = (self.facts.shape(tensor) or (sized(1),))[-1].number
                goal = self.wiring.constant(np.array([-1, last], np.int64), f"{tensor.name}/rows")
                self.twins[id(tensor)] = self.wiring.node("Reshape", [source, goal], f"{tensor.name}/flat", tensor.dtype)
        return self.twins[id(tensor)]


SIZES = 2
"""A Shape and a Gather give the lead once for all; each Reshape back then has a Concat."""


def _by_numbers(shape: Shape) -> bool:
    """Whether a Reshape to `shape` can be told by numbers and one -1."""
    return sum(size.number is None for size in shape) <= 1


def _depends(tensor: gs.Tensor, members: Members) -> bool:
    """Whether it is computed from a region, which may leave and come back, as around an attention."""
    waiting, seen = list(tensor.inputs), {id(node) for node in tensor.inputs}
    while waiting:
        node = waiting.pop()
        if id(node) in members:
            return True
        for maker in (maker for source in _read(node) for maker in source.inputs):
            if id(maker) not in seen:
                seen.add(id(maker))
                waiting.append(maker)
    return False


def _read(node: gs.Node) -> list[gs.Tensor]:
    """What a node reads, in its bodies too."""
    return [*node.inputs, *(tensor for body in node.subgraphs(recursive=True) for inner in body.nodes for tensor in inner.inputs)]


def _ordered(members: Members) -> list[gs.Node]:
    """What makes a tensor before what reads it; without recursion, for a region may be a whole network."""
    waits = {key: {id(maker) for tensor in node.inputs for maker in tensor.inputs if id(maker) in members} for key, node in members.items()}
    ready, order = deque(key for key, on in waits.items() if not on), []
    while ready:
        node = members[ready.popleft()]
        order.append(node)
        for reader in {id(reader) for out in node.outputs for reader in out.outputs if id(reader) in members}:
            waits[reader].discard(id(node))
            if not waits[reader]:
                ready.append(reader)
    return order
