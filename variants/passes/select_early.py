"""Compute only the rows that are read: pick them before a chain of row-wise operators, not behind it.

f(x)[rows] -> f(x[rows]), f: products by weights, norms, activations, residual sums, an attention's queries

What picks is a Gather or a Slice with constant places along one axis, of at most half of the rows. A ViT whose head reads the
class token alone needs one row of 65 or 197 of its last block's MLP, norms, output projection and queries; keys and values
need all rows, so there the region ends, and each tensor at its border is sliced once. The numbers are those of the same rows.
Where the region has no product, norm or attention there is nothing to win, and it is left.
"""

from __future__ import annotations

import onnx_graphsurgeon as gs

from variants.graph_pass import Stage, surgeon
from variants.rewriting.demand import Demand
from variants.rewriting.early import Early
from variants.rewriting.rewire import Wiring, nodes_of
from variants.rewriting.rowwise import RowWise
from variants.rewriting.rowwise_attention import ATTENTION
from variants.rewriting.rowwise_rules import RULES
from variants.rewriting.selection import Rows, Selection, selection
from variants.symbolic.infer import Facts, infer


def rewrite(graph: gs.Graph) -> tuple[gs.Graph, int]:
    """The rewrites are the selections that moved, or went."""
    if not any(nodes_of(graph, "Gather", "Slice")):
        return graph, 0
    count, moved = 0, _moved(graph)
    while moved:
        count, moved = count + moved, _moved(graph)
    return graph, count


def _moved(graph: gs.Graph) -> int:
    """Of the first kind of rows that any selection can be moved of."""
    facts, wiring = infer(graph), Wiring(graph)
    for rows, chosen in _selections(facts, graph).items():
        rowwise = RowWise(wiring, facts, rows, RULES | ATTENTION)
        regions = [region for region in Demand(rowwise, {id(one.node): one for one in chosen}).regions() if region.pays()]
        if regions:
            early = Early(rowwise)
            return sum(early.moved(region) for region in regions)
    return 0


def _selections(facts: Facts, graph: gs.Graph) -> dict[Rows, list[Selection]]:
    found: dict[Rows, list[Selection]] = {}
    for node in nodes_of(graph, "Gather", "Slice"):
        one = selection(facts, node)
        if one is None:
            continue
        size = (facts.shape(node.inputs[0]) or ())[one.axis]
        if one.rows.few(size) and one.rows.sayable(graph.opset):
            found.setdefault(one.rows, []).append(one)
    return found


select_early = surgeon(rewrite, stage=Stage.MERGE)
