"""Replace a residual sum and the LayerNorm of it by the TensorRT plugin node of one kernel version.

LayerNorm(x + bias + skip, gamma, beta; eps) -> skip_layernorm(x, skip, bias, gamma, beta; version, eps)
and x + bias + skip, where something else reads it too -> skip_layernorm_keep(x, skip, bias, gamma, beta; version, eps)[1]
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_graphsurgeon as gs

from variants.explain import decline
from variants.matching.norms import zeros
from variants.matching.skip_layernorm import SkipNorm, find
from variants.opset import raised
from variants.plugin_pass import plugin_node, plugin_pass

OPSET = 17
"""The functions are written with LayerNormalization."""

FUNCTIONS = (
    """<domain: "trtbench", opset_import: ["" : 17]>
    skip_layernorm <version, eps, aot, plugin_namespace> (x, residual, bias, gamma, beta) => (y)
    {
      biased = Add (x, bias)
      total = Add (biased, residual)
      y = LayerNormalization <axis = -1, epsilon: float = @eps, stash_type = 1> (total, gamma, beta)
    }""",
    """<domain: "trtbench", opset_import: ["" : 17]>
    skip_layernorm_keep <version, eps, aot, plugin_namespace> (x, residual, bias, gamma, beta) => (y, total)
    {
      biased = Add (x, bias)
      total = Add (biased, residual)
      y = LayerNormalization <axis = -1, epsilon: float = @eps, stash_type = 1> (total, gamma, beta)
    }""",
)


def rewrite(graph: gs.Graph, version: str) -> tuple[gs.Graph, int]:
    """Replace every match; the kernel reads both terms row by row, so that one without the batch is left alone."""
    if not any(_matches(graph)):
        return graph, 0
    graph = raised(graph, OPSET)
    matches = list(_matches(graph))
    for match in matches:
        graph.nodes.append(_placed(match, version))
    return graph, len(matches)


def _matches(graph: gs.Graph) -> Iterator[SkipNorm]:
    for match in find(graph):
        if match.broadcast:
            decline(match.norm.output.name, "one term of the sum is broadcast over the batch, and the kernel reads both row by row")
        else:
            yield match


def _placed(match: SkipNorm, version: str) -> gs.Node:
    norm = match.norm
    bias = zeros(f"{norm.output.name}/bias", norm.gamma) if match.bias is None else match.bias
    norm.nodes[-1].outputs.clear()
    op = "skip_layernorm_keep" if match.kept else "skip_layernorm"
    total = match.total
    if match.kept:
        match.adds[-1].outputs.clear()
    made = plugin_node(op, version, [match.x, match.skip, bias, norm.gamma, norm.shift], norm.output, eps=norm.eps)
    if match.kept:
        made.outputs.append(total)
    return made


skip_layernorm_plugin = plugin_pass("skip_layernorm", rewrite, FUNCTIONS)
