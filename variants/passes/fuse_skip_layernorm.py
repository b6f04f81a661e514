"""Fuse a residual sum, a bias before it and the LayerNorm after it into ONNX Runtime's SkipLayerNormalization.

LayerNormalization(x + bias + skip, gamma, beta; eps) -> SkipLayerNormalization(x, skip, gamma, beta, bias; eps)[0]
x + bias + skip, where something else reads it too -> SkipLayerNormalization(x, skip, gamma, beta, bias; eps)[3]

ONNX Runtime takes x of two or three axes, the last one normalised, and a skip of its shape or without the batch.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_graphsurgeon as gs

from variants.explain import decline
from variants.graph_pass import Stage, surgeon
from variants.matching.skip_layernorm import SkipNorm, find

DOMAIN = "com.microsoft"
RANKS = (2, 3)
"""What its kernels check (onnxruntime, contrib_ops/cpu/skip_layer_norm_helper.h)."""


def rewrite(graph: gs.Graph) -> tuple[gs.Graph, int]:
    """Replace every match; the opset stays, for the operator is none of ONNX's."""
    matches = list(_matches(graph))
    for match in matches:
        graph.nodes.append(_fused(match))
    return graph, len(matches)


def _matches(graph: gs.Graph) -> Iterator[SkipNorm]:
    for match in find(graph):
        if match.rank in RANKS:
            yield match
        else:
            decline(match.norm.output.name, f"the sum has {match.rank} axes, and ONNX Runtime's operator takes 2 or 3")


def _fused(match: SkipNorm) -> gs.Node:
    norm, last = match.norm, match.norm.nodes[-1]
    weights = [norm.gamma, norm.beta, match.bias]
    while weights[-1] is None:
        weights.pop()
    inputs = [match.x, match.skip, *(gs.Variable.empty() if weight is None else weight for weight in weights)]
    outputs, total = [norm.output], match.total
    if match.kept:
        match.adds[-1].outputs.clear()
        outputs += [gs.Variable.empty(), gs.Variable.empty(), total]
    last.outputs.clear()
    name = f"{last.name or norm.output.name}/SkipLayerNormalization"
    return gs.Node("SkipLayerNormalization", name, {"epsilon": norm.eps}, inputs, outputs, DOMAIN)


fuse_skip_layernorm = surgeon(rewrite, stage=Stage.MERGE, routine=False, domain=DOMAIN)
