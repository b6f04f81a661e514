"""Compute products by a constant on matrices: one pair of Reshapes around a chain of products and what is between them.

x[..., k] @ W + b -> Reshape(Gemm(Reshape(x, [-1, k]), W, b), [..., n])

The Add of a bias becomes part of a Gemm, which takes matrices only. What is computed row by row between two products
(activation, residual, LayerNorm, softmax over the last axis) is computed on matrices too, so a whole encoder needs a pair
where its attention does not reshape anyway. The way back is by numbers and one -1, or by the sizes of what came in.
"""

from __future__ import annotations

import onnx_graphsurgeon as gs

from variants.flat import FlatView
from variants.graph import split_constant
from variants.graph_pass import Stage, surgeon
from variants.infer import Facts, infer
from variants.passes.matmul_to_conv import product
from variants.rewire import Wiring, nodes_of


def rewrite(graph: gs.Graph) -> tuple[gs.Graph, int]:
    """The rewrites are the products that became matrix products."""
    if not any(product(node) for node in nodes_of(graph, "MatMul")):
        return graph, 0
    wiring, facts = Wiring(graph), infer(graph)
    return graph, sum(_flattened(wiring, facts, node) for node in nodes_of(graph, "MatMul"))


def _flattened(wiring: Wiring, facts: Facts, node: gs.Node) -> int:
    shape = facts.shape(node.outputs[0]) if node.outputs and product(node) else None
    if shape is None or len(shape) < 3:
        return 0
    view = FlatView(wiring, facts, shape[:-1], product)
    if not view.takes(node):
        return 0
    members = view.component(node)
    products = [one for one in members.values() if product(one)]
    biases = [add for one in products if (add := _bias(wiring, one)) is not None and id(add) in members]
    members = view.pruned(members, {id(one) for one in (*products, *biases)})
    outputs = [one.outputs[0] for one in products]
    view.rewrite(members)
    for out in outputs:
        _as_gemm(wiring, view.twins[id(out)])
    return len(outputs)


def _bias(wiring: Wiring, node: gs.Node) -> gs.Node | None:
    add = wiring.only_reader(node.outputs[0], "Add")
    return add if add is not None and split_constant(add) is not None else None


def _as_gemm(wiring: Wiring, out: gs.Tensor) -> None:
    """The product takes the Add of one value a column behind it."""
    add = wiring.only_reader(out, "Add")
    shift = split_constant(add) if add is not None else None
    node = out.inputs[0]
    if add is None or shift is None or shift[1].shape != tuple(node.inputs[1].shape[1:]):
        return
    bias = next(tensor for tensor in add.inputs if tensor is not out)
    node.op, node.inputs = "Gemm", [*node.inputs, bias]
    node.outputs = list(add.outputs)
    add.outputs.clear()


flatten_matmul = surgeon(rewrite, stage=Stage.ALIGN, routine=False)
