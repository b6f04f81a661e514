"""Fuse the nine nodes of a decomposed LayerNorm, and its other forms, into LayerNormalization.

(x - mean(x)) / sqrt(mean((x - mean(x))^2) + e) * scale + bias -> LayerNormalization(x, scale, bias; axis, e)
x * r + (bias - mean(x) * r), r = scale / sqrt(mean((x - mean(x))^2) + e) -> LayerNormalization(x, scale, bias; axis, e)
"""

from __future__ import annotations

import onnx_graphsurgeon as gs

from variants.graph_pass import Stage, surgeon
from variants.matching.layernorm import find
from variants.opset import raised

OPSET = 17
"""LayerNormalization is an ONNX operator since opset 17."""


def rewrite(graph: gs.Graph) -> tuple[gs.Graph, int]:
    """Replace every match; the statistics stay in fp32 (stash_type 1)."""
    if not any(find(graph)):
        return graph, 0
    graph = raised(graph, OPSET)
    matches = list(find(graph))
    for match in matches:
        last, name = match.nodes[-1], match.output.name
        fused = gs.Node(
            "LayerNormalization",
            name=f"{last.name or name}/LayerNormalization",
            attrs={"axis": match.axis, "epsilon": match.epsilon, "stash_type": 1},
            inputs=[tensor for tensor in (match.source, match.scale, match.bias) if tensor is not None],
            outputs=[match.output],
        )
        last.outputs.clear()
        graph.nodes.append(fused)
    return graph, len(matches)


fuse_layernorm = surgeon(rewrite, stage=Stage.FUSE)
