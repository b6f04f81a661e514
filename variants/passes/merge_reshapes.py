"""Merge consecutive Reshape, Flatten, Squeeze and Unsqueeze into one, and leave out those that change no shape.

Reshape(Unsqueeze(x), t) -> Reshape(x, t); Unsqueeze(Unsqueeze(x, 1), 2) -> Unsqueeze(x, [1, 2]); Reshape(x, shape(x)) -> x

A target of its own keeps its meaning only if it copies no dimension (0) of the tensor between, or one that x has in the same
place. What is computed is followed symbolically; where it is known it becomes a constant of numbers, zeros and one -1.
Tensors without elements are left out of account: there a size that is computed may be a 0 by chance.
"""

from __future__ import annotations

import onnx_graphsurgeon as gs

from variants.explain import decline
from variants.graph_pass import Stage, surgeon
from variants.rewriting.layout import layout, single
from variants.rewriting.reshaping import SAME_ORDER, reshaped
from variants.rewriting.rewire import Wiring, nodes_of
from variants.symbolic.infer import Facts, infer


def rewrite(graph: gs.Graph) -> tuple[gs.Graph, int]:
    """First to last, so that a chain ends as one; what else reads the tensor between keeps the first."""
    if not any(nodes_of(graph, *SAME_ORDER)):
        return graph, 0
    wiring, facts = Wiring(graph), infer(graph)
    return graph, sum(_rewritten(wiring, facts, node) for node in nodes_of(graph, *SAME_ORDER))


def _rewritten(wiring: Wiring, facts: Facts, node: gs.Node) -> bool:
    first = wiring.producer(node.inputs[0], *SAME_ORDER)
    source = first.inputs[0] if first else node.inputs[0]
    given, wanted = facts.shape(source), facts.shape(node.outputs[0])
    if given is not None and given == wanted:
        return wiring.bypass(node, source)
    if first is None:
        return False
    if _combined(wiring, facts, (first, node)) or reshaped(wiring, facts, source, node):
        return True
    decline(node.outputs[0].name, "the shape behind two Reshapes is not known well enough to write it as one")
    return False


def _combined(wiring: Wiring, facts: Facts, pair: tuple[gs.Node, gs.Node]) -> bool:
    """Squeezes, or Unsqueezes, as one of their kind: right for every size."""
    first, node = pair
    moves = [layout(facts, one) if one.op in ("Squeeze", "Unsqueeze") else None for one in pair]
    if moves[0] is None or moves[1] is None:
        return False
    whole = moves[0].then(moves[1])
    if whole.identity:
        return wiring.bypass(node, first.inputs[0])
    if whole.cost != 1 or whole.moves:
        return False
    op, axes = ("Squeeze", whole.dropped) if whole.dropped else ("Unsqueeze", whole.added)
    out = node.outputs[0]
    made = single(wiring, op, axes, first.inputs[0], out.name)
    maker = made.inputs[0]
    node.outputs.clear()
    maker.outputs = [out]
    return True


merge_reshapes = surgeon(rewrite, stage=Stage.LAYOUT)
