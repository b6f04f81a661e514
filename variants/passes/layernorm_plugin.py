"""Replace LayerNorm over the last axis, fused or in nine nodes, by the TensorRT plugin node of one kernel version.

LayerNormalization(x, gamma, beta; axis -1, eps) -> layernorm_affine(x, gamma, beta; version, eps)
LayerNormalization(x, 1; axis -1, eps) -> layernorm(x; version, eps)
"""

from __future__ import annotations

import onnx_graphsurgeon as gs

from variants.graph import constant
from variants.matching.norms import Norm, norms
from variants.opset import raised
from variants.plugin_pass import plugin_node, plugin_pass

OPSET = 17
"""The functions are written with LayerNormalization."""

FUNCTIONS = (
    """<domain: "trtbench", opset_import: ["" : 17]>
    layernorm_affine <version, eps, aot, plugin_namespace> (x, gamma, beta) => (y)
    {
      y = LayerNormalization <axis = -1, epsilon: float = @eps, stash_type = 1> (x, gamma, beta)
    }""",
    """<domain: "trtbench", opset_import: ["" : 17]>
    layernorm <version, eps, aot, plugin_namespace> (x) => (y)
    {
      one = Constant <value_float = 1.0> ()
      one_as_x = CastLike (one, x)
      cols = Shape <start = -1> (x)
      gamma = Expand (one_as_x, cols)
      y = LayerNormalization <axis = -1, epsilon: float = @eps, stash_type = 1> (x, gamma)
    }""",
)


def rewrite(graph: gs.Graph, version: str) -> tuple[gs.Graph, int]:
    """Replace every match; doubtful ones (other axes, statistics read or not in fp32, unknown shapes) are left alone."""
    if not any(norms(graph)):
        return graph, 0
    graph = raised(graph, OPSET)
    matches = list(norms(graph))
    for match in matches:
        weights = _needed(match)
        op = "layernorm_affine" if weights else "layernorm"
        match.nodes[-1].outputs.clear()
        graph.nodes.append(plugin_node(op, version, [match.source, *weights], match.output, eps=match.eps))
    return graph, len(matches)


def _needed(norm: Norm) -> tuple[gs.Tensor, ...]:
    """ONNX has no LayerNormalization without a scale: exporters write ones where the model has none."""
    scale, shift = constant(norm.gamma), constant(norm.shift)
    plain = scale is not None and shift is not None and bool((scale == 1).all()) and not shift.any()
    return () if plain else (norm.gamma, norm.shift)


layernorm_plugin = plugin_pass("layernorm", rewrite, FUNCTIONS)
