"""Compute only the rows that are read: pick them before a chain of row-wise operators, not behind it.

f(x)[rows] -> f(x[rows]), f: products by weights, norms, activations, residual sums, an attention's queries

What picks is a Gather or a Slice with constant places along one axis, of at most half of the rows. A ViT whose head reads the
class token alone needs one row of 65 or 197 of its last block's MLP, norms, output projection and queries; keys and values
need all rows, so there the region ends, and each tensor at its border is sliced once. The numbers are those of the same rows.
Where the region has no product, norm or attention there is nothing to win, and it is left.

It is in `all` by measurement (ONNX Runtime on the CPU, one thread, paired, on a machine with other work; how many times faster than
without, behind fold, merge_reshapes, move_layout, fuse_gelu and fuse_layernorm, 95 % interval): vit_digits (6 blocks of 65 rows)
1.12 [1.11, 1.14] at batch 1 and 1.17 [1.14, 1.18] at 8, vit:tiny 1.13 [1.12, 1.14] and 1.22 [1.20, 1.24]; with flatten_matmul
behind both, vit_digits 1.08 [1.06, 1.10] and 1.09 [1.07, 1.10]. No GPU was measured.
"""

from __future__ import annotations

import onnx_graphsurgeon as gs

from variants.explain import decline
from variants.graph_pass import Stage, surgeon
from variants.rewriting.demand import COSTLY, Demand, Region
from variants.rewriting.early import Early
from variants.rewriting.rewire import Wiring, nodes_of
from variants.rewriting.rowwise import RowWise
from variants.rewriting.rowwise_attention import ATTENTION
from variants.rewriting.rowwise_rules import RULES
from variants.rewriting.selection import Rows, Selection, selection
from variants.symbolic.infer import Facts, infer


def rewrite(graph: gs.Graph) -> tuple[gs.Graph, int]:
    """The rewrites are the selections that moved, or went."""
    given = list(nodes_of(graph, "Gather", "Slice"))
    if not given:
        return graph, 0
    count, moved = 0, _moved(graph, given)
    while moved:
        count, moved = count + moved, _moved(graph, given)
    return graph, count


def _moved(graph: gs.Graph, given: list[gs.Node]) -> int:
    """Of the first rows that any selection can be moved of; where there are none, it says why those `given` are left."""
    facts, wiring = infer(graph), Wiring(graph)
    left: list[tuple[Selection, Region]] = []
    for rows, chosen in _selections(facts, graph).items():
        rowwise = RowWise(wiring, facts, rows, RULES | ATTENTION)
        regions = list(Demand(rowwise, {id(one.node): one for one in chosen}).regions())
        if paying := [region for region in regions if region.pays()]:
            early = Early(rowwise)
            return sum(early.moved(region) for region in paying)
        left += [(one, region) for region in regions for one in region.selections]
    names = {id(node) for node in given}
    for one, region in left:
        if id(one.node) in names:
            _explain(wiring, one, region)
    return 0


def _selections(facts: Facts, graph: gs.Graph) -> dict[Rows, list[Selection]]:
    """By what they pick; those of too many rows are left out."""
    found: dict[Rows, list[Selection]] = {}
    for node in nodes_of(graph, "Gather", "Slice"):
        one = selection(facts, node)
        if one is None or not one.rows.sayable(graph.opset):
            continue
        size = (facts.shape(node.inputs[0]) or ())[one.axis]
        if one.rows.few(size):
            found.setdefault(one.rows, []).append(one)
        elif node.inputs[0].inputs and node.inputs[0].inputs[0].op in COSTLY and size.number != 1:
            decline(
                node.outputs[0].name, f"{one.rows.count(size) or 'some'} of {size} rows are picked, not few enough to compute only those"
            )
    return found


def _explain(wiring: Wiring, one: Selection, region: Region) -> None:
    source, picked = one.node.inputs[0], one.node.outputs[0].name
    maker = wiring.producer(source)
    if region.members:
        decline(picked, "no product, norm or attention is computed for these rows alone, so picking them earlier wins nothing")
    elif maker is not None and maker.op in COSTLY and (len(wiring.readers(source)) > 1 or id(source) in wiring.kept):
        decline(picked, f"other rows of {source.name} are needed as well")


# Behind split_qkv, which gives the queries a product of their own, and before flatten_matmul, which makes one axis of batch and rows.
select_early = surgeon(rewrite, stage=Stage.AHEAD)
