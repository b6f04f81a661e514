"""Merge consecutive Transposes into one, or none.

Transpose(Transpose(x, p), q) -> Transpose(x, [p[i] for i in q]); Transpose(x, identity) -> x; two Transposes of x by the same p -> one
"""

from __future__ import annotations

import onnx_graphsurgeon as gs

from variants.graph_pass import Stage, surgeon
from variants.rewriting.rewire import Wiring, nodes_of


def rewrite(graph: gs.Graph) -> tuple[gs.Graph, int]:
    """Every pair, first to last, so that a chain ends as one; what else reads the tensor between keeps the first Transpose."""
    wiring = Wiring(graph)
    count = sum(_merged(wiring, node) for node in nodes_of(graph, "Transpose"))
    wiring.sweep()
    return graph, count + sum(_shared(wiring, node) for node in nodes_of(graph, "Transpose"))


def _merged(wiring: Wiring, node: gs.Node) -> bool:
    first = wiring.producer(node.inputs[0], "Transpose")
    if first is None:
        order = node.attrs.get("perm")
        return order is not None and list(order) == sorted(order) and wiring.bypass(node, node.inputs[0])
    orders = [one.attrs.get("perm") for one in (first, node)]
    known = next((order for order in orders if order is not None), None)
    if known is None:  # both reverse the axes, however many
        return wiring.bypass(node, first.inputs[0])
    p, q = (order if order is not None else list(range(len(known)))[::-1] for order in orders)
    order = [int(p[axis]) for axis in q]
    if order == sorted(order):
        return wiring.bypass(node, first.inputs[0])
    node.inputs[0], node.attrs["perm"] = first.inputs[0], order
    return True


def _shared(wiring: Wiring, node: gs.Node) -> bool:
    """Whether another Transpose by the same order reads the same tensor; then that one is read instead."""
    if not node.outputs or id(node.outputs[0]) in wiring.kept:
        return False
    twins = [other for other in wiring.readers(node.inputs[0]) if other is not node and _same(other, node) and id(other) in wiring.here]
    return bool(twins) and wiring.bypass(node, twins[0].outputs[0])


def _same(other: gs.Node, node: gs.Node) -> bool:
    return other.op == "Transpose" and not other.domain and bool(other.outputs) and other.attrs.get("perm") == node.attrs.get("perm")


merge_transposes = surgeon(rewrite, stage=Stage.LAYOUT)
