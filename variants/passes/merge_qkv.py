"""Merge products of one tensor by several constant matrices, such as attention's projections, into one.

x W1 + b1, x W2 + b2, ... -> Split(x [W1 W2 ...] + [b1 b2 ...]), along the last axis

One without a bias gets zeros. Not routine, as it wants measuring: ONNX Runtime's Split copies what it splits. On its CPU provider,
one thread, a busy machine, bert:tiny and vit:tiny took 3 to 12 % longer after this pass alone, and no longer after fuse_attention.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from variants.explain import decline
from variants.graph import constant
from variants.graph_pass import Stage, surgeon
from variants.rewriting.rewire import Wiring
from variants.variant import Array

FLOATS = ("float16", "float32", "float64")
SIZES_ARE_INPUT = 13
"""The opset from which on Split takes its sizes as an input."""


@dataclass(frozen=True, slots=True)
class Projection:
    """output = source weight + bias; weight [k, n], bias [n] where there is one; `last` is the node that writes `output`."""

    product: gs.Node
    last: gs.Node
    weight: Array
    bias: Array | None

    @property
    def output(self) -> gs.Tensor:
        """[..., n]."""
        return self.last.outputs[0]


def rewrite(graph: gs.Graph) -> tuple[gs.Graph, int]:
    """Merge every group; the number of rewrites is that of the groups."""
    wiring = Wiring(graph)
    groups: dict[int, list[Projection]] = {}
    for node in list(graph.nodes):
        if (found := _projection(wiring, node)) is not None:
            groups.setdefault(id(node.inputs[0]), []).append(found)
    merged = [kept for group in groups.values() if len(kept := list(_alike(group))) > 1]
    for group in merged:
        _merge(wiring, graph.opset, group)
    return graph, len(merged)


def _projection(wiring: Wiring, node: gs.Node) -> Projection | None:
    if node.domain or node.op not in ("MatMul", "Gemm") or not node.outputs or constant(node.inputs[0]) is not None:
        return None
    weight = constant(node.inputs[1])
    if weight is None or weight.ndim != 2 or weight.dtype.name not in FLOATS or node.attrs.get("transA"):
        return None
    if node.op == "Gemm":
        return _gemm(node, weight)
    add = wiring.only_reader(node.outputs[0], "Add")
    others = [tensor for tensor in add.inputs if tensor is not node.outputs[0]] if add is not None else []
    bias = constant(others[0]) if others else None
    if add is None or bias is None or bias.dtype != weight.dtype or bias.shape not in ((weight.shape[1],), (1,), ()):
        return Projection(node, node, weight, None)
    return Projection(node, add, weight, np.broadcast_to(bias, weight.shape[1:]))


def _gemm(node: gs.Node, weight: Array) -> Projection | None:
    """None where the bias is no constant row."""
    given = node.inputs[2] if len(node.inputs) > 2 and not node.inputs[2].is_empty() else None
    bias = constant(given) if given is not None else None
    weight = weight.T if node.attrs.get("transB") else weight
    if given is not None and (bias is None or bias.size not in (1, weight.shape[1]) or bias.shape[:-1] not in ((), (1,))):
        return None
    weight = (weight * np.array(node.attrs.get("alpha", 1), weight.dtype)).astype(weight.dtype)
    if bias is not None:
        bias = np.broadcast_to(bias.reshape(-1) * np.array(node.attrs.get("beta", 1), weight.dtype), weight.shape[1:])
    return Projection(node, node, weight, bias)


def _alike(group: Sequence[Projection]) -> Iterator[Projection]:
    """Those of the first one's element type whose matrix no other product needs: it would be stored twice."""
    products = {id(one.product) for one in group}
    for one in group if len(group) > 1 else ():
        if any(id(reader) not in products for reader in _readers(one.product.inputs[1])):
            decline(one.product.name or one.output.name, "its matrix is shared with a product of another tensor")
        elif one.weight.dtype == group[0].weight.dtype:
            yield one


def _readers(weight: gs.Tensor) -> Iterator[gs.Node]:
    """Who reads a matrix, under whatever name: exporters write Identity where modules share their weights."""
    while weight.inputs and weight.inputs[0].op == "Identity":
        weight = weight.inputs[0].inputs[0]
    found = list(weight.outputs)
    for reader in found:
        if reader.op == "Identity":
            found.extend(reader.outputs[0].outputs if reader.outputs else ())
        else:
            yield reader


def _merge(wiring: Wiring, opset: int, group: Sequence[Projection]) -> None:
    source, outputs, stem = group[0].product.inputs[0], [one.output for one in group], group[0].product.outputs[0].name
    dtype = outputs[0].dtype
    weight = wiring.constant(np.concatenate([one.weight for one in group], axis=1), f"{stem}/merged_weight")
    whole = wiring.node("MatMul", [source, weight], f"{stem}/merged", dtype)
    if any(one.bias is not None for one in group):
        biases = [np.zeros(one.weight.shape[1], one.weight.dtype) if one.bias is None else one.bias for one in group]
        bias = wiring.constant(np.concatenate(biases).astype(group[0].weight.dtype), f"{stem}/merged_bias")
        whole = wiring.node("Add", [whole, bias], f"{stem}/merged_sum", dtype)
    for one in group:
        one.last.outputs.clear()
        one.product.inputs.clear()
    sizes = [one.weight.shape[1] for one in group]
    if opset < SIZES_ARE_INPUT:
        wiring.add(gs.Node("Split", f"{stem}/Split", {"axis": -1, "split": sizes}, [whole], outputs))
    else:
        given = wiring.constant(np.array(sizes, np.int64), f"{stem}/sizes")
        wiring.add(gs.Node("Split", f"{stem}/Split", {"axis": -1}, [whole, given], outputs))


merge_qkv = surgeon(rewrite, stage=Stage.MERGE, routine=False)
