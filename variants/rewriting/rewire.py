"""Take a node out of a GraphSurgeon graph: who reads a tensor, bodies included, and what must keep its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count

import onnx_graphsurgeon as gs

from variants.graph import constant


class Wiring:
    """Of one graph while it is rewritten: names that are taken, tensors that must stay, and every tensor kept alive.

    Facts about tensors are held by `id`, which Python gives to another once a tensor is freed.
    """

    def __init__(self, graph: gs.Graph) -> None:
        self.graph = graph
        every = [graph, *graph.subgraphs(recursive=True)]
        self.alive: list[gs.Tensor] = [tensor for one in every for tensor in one.tensors().values()]
        self.names = {tensor.name for tensor in self.alive} | {tensor.name for one in every for tensor in one.inputs}
        self.kept = {id(tensor) for one in every for tensor in one.outputs}
        self.here = {id(node) for node in graph.nodes}
        self.sweep()

    def name(self, stem: str) -> str:
        """`stem`, or `stem_2` and so on where that is taken."""
        for number in count(2):
            if stem not in self.names:
                self.names.add(stem)
                return stem
            stem = f"{stem.rpartition('_')[0] if number > 2 else stem}_{number}"
        raise AssertionError

    def node(self, op: str, inputs: Sequence[gs.Tensor], stem: str, dtype: object, **attrs: object) -> gs.Variable:
        """A new node in the main graph; its only output, called after `stem`."""
        made = gs.Variable(self.name(stem), dtype)
        self.add(gs.Node(op, made.name, dict(attrs), list(inputs), [made]))
        return made

    def constant(self, values: object, stem: str) -> gs.Constant:
        """A new constant, called after `stem`."""
        made = gs.Constant(self.name(stem), values)
        self.alive.append(made)
        return made

    def add(self, node: gs.Node) -> gs.Node:
        """Put `node` into the main graph."""
        self.graph.nodes.append(node)
        self.here.add(id(node))
        self.alive.extend(node.outputs)
        return node

    def producer(self, tensor: gs.Tensor, *ops: str) -> gs.Node | None:
        """The node of the main graph that makes `tensor`, where it is one of `ops` (or any, with none given)."""
        node = tensor.inputs[0] if tensor.inputs else None
        return node if node is not None and not node.domain and (not ops or node.op in ops) and id(node) in self.here else None

    def only_reader(self, tensor: gs.Tensor, *ops: str) -> gs.Node | None:
        """The node of the main graph that alone reads `tensor`, and once, where it is one of `ops`."""
        if len(tensor.outputs) != 1 or id(tensor) in self.kept:
            return None
        node = tensor.outputs[0]
        return node if node.op in ops and not node.domain and id(node) in self.here else None

    def readers(self, tensor: gs.Tensor) -> list[gs.Node]:
        """Each node that reads `tensor` once, those in bodies included."""
        return list({id(node): node for node in tensor.outputs}.values())

    def replace(self, old: gs.Tensor, new: gs.Tensor, where: Callable[[gs.Node], bool] = lambda node: True) -> None:
        """Let every reader of `old`, bodies included, read `new`."""
        for node in filter(where, self.readers(old)):
            for place, tensor in enumerate(node.inputs):
                if tensor is old:
                    node.inputs[place] = new

    def bypass(self, node: gs.Node, source: gs.Tensor) -> bool:
        """Let all read `source` for the only output of `node`, which goes; False where an Identity must stay and was there.

        An output of a graph keeps its name: what makes `source` then writes it, unless that has to keep its own.
        """
        out = node.outputs[0]
        if id(out) not in self.kept:
            node.outputs.clear()
            self.replace(out, source)
            return True
        maker = self.producer(source)
        if maker is None or id(source) in self.kept:
            changed = node.op != "Identity" or node.inputs[0] is not source
            node.op, node.attrs, node.inputs = "Identity", {}, [source]
            return changed
        node.outputs.clear()
        self.replace(source, out)
        maker.outputs = [out if tensor is source else tensor for tensor in maker.outputs]
        return True

    def sweep(self) -> None:
        """Take nodes that nothing reads off the tensors that they read, so that they count no more as readers."""
        for node in reversed(self.graph.nodes):
            if node.inputs and not any(out.outputs or id(out) in self.kept for out in node.outputs):
                node.inputs.clear()
                node.outputs.clear()


def numbers(node: gs.Node, place: int, attribute: str) -> list[int] | None:
    """A list that newer opsets give as input `place` and older ones as `attribute`; None where absent or not constant."""
    if attribute in node.attrs:
        given = node.attrs[attribute]
        return [int(number) for number in (given if isinstance(given, Sequence) else [given])]
    if len(node.inputs) <= place or not (node.inputs[place].name or isinstance(node.inputs[place], gs.Constant)):
        return None
    value = constant(node.inputs[place])
    return None if value is None else [int(number) for number in value.reshape(-1)]


def given(node: gs.Node, place: int) -> bool:
    """Whether the optional input `place` is there; an absent one has no name."""
    return len(node.inputs) > place and not node.inputs[place].is_empty()


def nodes_of(graph: gs.Graph, *ops: str) -> Iterator[gs.Node]:
    """The nodes of the main graph of these types that still write something, in order."""
    for node in list(graph.nodes):
        if node.op in ops and not node.domain and node.outputs:
            yield node
