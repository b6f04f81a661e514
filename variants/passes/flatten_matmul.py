"""Compute products by a constant on matrices: one pair of Reshapes around a chain of products and what is between them.

x[..., k] @ W + b -> Reshape(Reshape(x, [-1, k]) @ W + b, [..., n])

What is computed row by row between two products (activation, residual, LayerNorm, softmax over the last axis) is computed
on matrices too, so a whole encoder needs a pair where its attention does not reshape anyway. The way back is by numbers and
one -1, or by the sizes of what came in. A region is left where that takes more new nodes than it has biases.

On matrices ONNX Runtime adds the bias inside the product (its fusion to Gemm takes no tensor of three dimensions);
`flatten_matmul:gemm` writes that Gemm itself, `flatten_matmul` leaves a MatMul and an Add, which quantisers know better, and
`flatten_matmul:every` does so to every product, a lone one between its own pair included.

It is in `all` by measurement (ONNX Runtime 1.31.1 on the CPU, one thread, paired, on a machine with other work; how many times
faster than without, behind fold, merge_reshapes, move_layout, fuse_gelu and fuse_layernorm, 95 % interval): vit_digits
1.10 [1.05, 1.16], 1.17 [1.04, 1.28] and 1.12 [1.07, 1.15] at batch 1, 8 and 32; bert:tiny 1.18 [1.17, 1.19], 1.08
[1.03, 1.28] and 1.06 [0.98, 1.18]; the WeNet decoder and DAB-DETR no difference that could be seen. ONNX
Runtime then makes no BiasGelu of the products; what each part is worth was not taken apart. No GPU was measured.
"""

from __future__ import annotations

import onnx_graphsurgeon as gs

from variants.explain import decline
from variants.graph import split_constant
from variants.graph_pass import Stage, option_surgeon
from variants.passes.matmul_to_conv import product
from variants.rewriting.flat import FlatView
from variants.rewriting.rewire import Wiring, nodes_of
from variants.symbolic.infer import Facts, infer

MATMUL, GEMM, EVERY = "matmul", "gemm", "every"


def rewrite(graph: gs.Graph, option: str) -> tuple[gs.Graph, int]:
    """The rewrites are the products that became matrix products."""
    if not any(product(node) for node in nodes_of(graph, "MatMul")):
        return graph, 0
    wiring, facts = Wiring(graph), infer(graph)
    return graph, sum(_flattened(wiring, facts, node, option) for node in nodes_of(graph, "MatMul"))


def _flattened(wiring: Wiring, facts: Facts, node: gs.Node, option: str) -> int:
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
    if option != EVERY and (more := view.price(members)) > len(biases):
        for one in products:
            decline(one.outputs[0].name, f"{len(products)} products on matrices would take {more} more nodes around them")
        return 0
    outputs = [one.outputs[0] for one in products]
    view.rewrite(members)
    for out in outputs if option == GEMM else ():
        _as_gemm(wiring, view.twins[id(out)])
    return len(outputs)


def _bias(wiring: Wiring, node: gs.Node) -> gs.Node | None:
    add = wiring.only_reader(node.outputs[0], "Add")
    return add if add is not None and split_constant(add) is not None else None


def _as_gemm(wiring: Wiring, out: gs.Tensor) -> None:
    """The product takes the Add of one value a column behind it."""
    add = wiring.only_reader(out, "Add")
    shift = split_constant(add) if add is not None else None
    if add is None or shift is None:
        return
    node = out.inputs[0]
    if shift[1].shape != tuple(node.inputs[1].shape[1:]):
        return
    bias = next(tensor for tensor in add.inputs if tensor is not out)
    node.op, node.inputs = "Gemm", [*node.inputs, bias]
    node.outputs = list(add.outputs)
    add.outputs.clear()


flatten_matmul = option_surgeon(rewrite, (MATMUL, GEMM, EVERY), stage=Stage.ALIGN)
