"""Fuse the bias of a linear layer into the GELU after it, as ONNX Runtime's BiasGelu or FastGelu.

Gelu(x + b; none) -> com.microsoft BiasGelu(x, b)
Gelu(x + b; tanh) -> com.microsoft FastGelu(x, b)

b is constant and as wide as the last axis of x. Behind fixed shapes ONNX Runtime 1.31 does not do this by itself: it takes the
bias into the product before (Gemm), where its CUDA provider adds it with a product of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_graphsurgeon as gs

from variants.explain import decline
from variants.graph import constant, only_consumer
from variants.graph_pass import Stage, surgeon
from variants.symbolic.infer import Facts, infer

DOMAIN = "com.microsoft"
FUSED = {"none": "BiasGelu", "tanh": "FastGelu"}
TYPES = ("float16", "float32")
"""Those that ONNX Runtime has kernels for."""


def rewrite(graph: gs.Graph) -> tuple[gs.Graph, int]:
    """Replace every sum that only a Gelu reads; the opset stays, for the operator is none of ONNX's."""
    pairs = list(_pairs(graph))
    facts, count = infer(graph) if pairs else None, 0
    for add, gelu in pairs:
        parts = _parts(facts, add) if facts else None
        if parts is None:
            continue
        output, name = gelu.outputs[0], f"{gelu.name or gelu.outputs[0].name}/bias"
        gelu.outputs.clear()
        add.outputs.clear()
        graph.nodes.append(gs.Node(FUSED[gelu.attrs.get("approximate", "none")], name, {}, list(parts), [output], DOMAIN))
        count += 1
    return graph, count


def _pairs(graph: gs.Graph) -> Iterator[tuple[gs.Node, gs.Node]]:
    """Sums and the Gelus that alone read them, both in the main graph: the one reader may be in a body."""
    here = {id(node) for node in graph.nodes}
    for add in graph.nodes:
        if add.op == "Add" and not add.domain:
            gelu = only_consumer(graph, add.outputs[0], "Gelu")
            if gelu is not None and not gelu.domain and id(gelu) in here:
                yield add, gelu


def _parts(facts: Facts, add: gs.Node) -> tuple[gs.Tensor, gs.Tensor] | None:
    """x and the bias; None where the sum is another one."""
    for x, bias in (add.inputs, add.inputs[::-1]):
        value = constant(bias)
        if value is None or value.ndim != 1:
            continue
        shape, width = facts.shape(x), facts.shape(bias)
        if not shape or not width or shape[-1] != width[-1]:
            decline(add.outputs[0].name, "what the bias is added to is not known to be as wide as the bias")
            return None
        if value.dtype.name not in TYPES:
            decline(add.outputs[0].name, f"ONNX Runtime has no fused GELU of {value.dtype}")
            return None
        return x, bias
    return None


fuse_bias_gelu = surgeon(rewrite, stage=Stage.MERGE, routine=False, domain=DOMAIN)
