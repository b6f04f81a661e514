"""Move Transposes, Squeezes and Unsqueezes through what does not care, where they then meet and fewer remain.

Transpose(f(Transpose(x, p), c), inverse of p) -> f(x, Transpose(c, inverse of p)), f elementwise or along an axis; many at once

f is a connected region: Add, Mul, Where, Cast, Sigmoid and the like, and Concat, Split, Slice, softmax and reductions, whose
axes move along. Constants are moved at build time. What runs over the last axis stays there: LayerNorm and softmax kernels
want it. A region is rewritten only if Transposes do not increase and the layout nodes at its border fall.
"""

from __future__ import annotations

import onnx_graphsurgeon as gs

from variants.explain import decline
from variants.graph_pass import Stage, surgeon
from variants.rewriting.layout import MOVES
from variants.rewriting.regions import View, seeds
from variants.rewriting.rewire import Wiring
from variants.symbolic.infer import Facts, infer


def rewrite(graph: gs.Graph) -> tuple[gs.Graph, int]:
    """One region after another until none pays; each leaves fewer layout nodes, so there are no more of them than of those."""
    count, found, most = 0, True, sum(node.op in MOVES for node in graph.nodes)
    while found:
        found, wiring, facts = False, Wiring(graph), infer(graph)
        while count < most and _moved(wiring, facts):
            found, count = True, count + 1
    return graph, count


def _moved(wiring: Wiring, facts: Facts) -> bool:
    left = []
    for place, move, start in seeds(wiring, facts):
        view = View(wiring, facts, move)
        if not move.identity and view.takes(start):
            (transposes, nodes), members = view.grown(start)
            if transposes <= 0 and nodes < 0:
                view.rewrite(members)
                return True
            left += [place] if move.moves else []
    for place in left:
        decline(place.outputs[0].name, "moved through what is around it, as many layout nodes would remain")
    return False


move_layout = surgeon(rewrite, stage=Stage.LAYOUT)
