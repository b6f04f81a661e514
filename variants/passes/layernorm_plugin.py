"""Replace LayerNorm over the last axis, fused or in nine nodes, by the TensorRT plugin node of one kernel version.

LayerNormalization(x, gamma, beta; axis -1, eps) -> layernorm_affine(x, gamma, beta; version, eps)
LayerNormalization(x, 1; axis -1, eps) -> layernorm(x; version, eps)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from variants.graph import constant, with_opset
from variants.layernorm import find
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


@dataclass(frozen=True, slots=True)
class Match:
    """y = LayerNorm(x) over the last axis; `last` is the node that writes `output`; no `gamma` where it would be ones and beta zeros."""

    source: gs.Tensor
    output: gs.Tensor
    weights: tuple[gs.Tensor, ...]
    eps: float
    last: gs.Node


def rewrite(graph: gs.Graph, version: str) -> tuple[gs.Graph, int]:
    """Replace every match; doubtful ones (other axes, statistics read or not in fp32, unknown shapes) are left alone."""
    if not any(_matches(graph)):
        return graph, 0
    graph = with_opset(graph, OPSET)
    matches = list(_matches(graph))
    for match in matches:
        op = "layernorm_affine" if match.weights else "layernorm"
        match.last.outputs.clear()
        graph.nodes.append(plugin_node(op, version, [match.source, *match.weights], match.output, eps=match.eps))
    return graph, len(matches)


def _matches(graph: gs.Graph) -> Iterator[Match]:
    for node in list(graph.nodes):
        if node.op == "LayerNormalization" and (match := _fused(graph, node)):
            yield match
    for found in find(graph):
        if found.axis == -1 and not _one_row(found.source):
            beta = _zeros(found.output, found.scale) if found.bias is None else found.bias
            yield Match(found.source, found.output, _needed(found.scale, beta), found.epsilon, found.nodes[-1])


def _fused(graph: gs.Graph, node: gs.Node) -> Match | None:
    source, gamma, *rest = node.inputs
    output, *statistics = node.outputs
    given = [tensor for tensor in rest if tensor.name]
    read = [tensor for tensor in statistics if tensor.outputs or any(tensor is other for other in graph.outputs)]
    if node.domain or read or node.attrs.get("stash_type", 1) != 1 or not _last(node.attrs.get("axis", -1), source):
        return None
    if _one_row(source) or not all(_fits(tensor, source) for tensor in (gamma, *given)):
        return None
    beta = given[0] if given else _zeros(output, gamma)
    return Match(source, output, _needed(gamma, beta), float(node.attrs.get("epsilon", 1e-5)), node)


def _zeros(output: gs.Tensor, gamma: gs.Tensor) -> gs.Constant:
    """The bias that a LayerNorm without one has."""
    return gs.Constant(f"{output.name}/beta", np.zeros(gamma.shape, gamma.dtype))


def _one_row(source: gs.Tensor) -> bool:
    """Whether it has columns only: a kernel takes two axes and more."""
    return source.shape is not None and len(source.shape) < 2


def _last(axis: int, source: gs.Tensor) -> bool:
    return axis == -1 or (source.shape is not None and axis == len(source.shape) - 1)


def _fits(weight: gs.Tensor, source: gs.Tensor) -> bool:
    """One value a column, and not by broadcasting; float64 and bf16, which NumPy does not know, are left out."""
    if weight.shape is None or len(weight.shape) != 1 or weight.dtype not in (np.float16, np.float32):
        return False
    size, cols = weight.shape[0], source.shape[-1] if source.shape is not None else None
    return isinstance(size, int) and (size == cols if isinstance(cols, int) else size > 1)


def _needed(gamma: gs.Tensor, beta: gs.Tensor) -> tuple[gs.Tensor, ...]:
    """ONNX has no LayerNormalization without a scale: exporters write ones where the model has none."""
    scale, shift = constant(gamma), constant(beta)
    plain = scale is not None and shift is not None and bool((scale == 1).all()) and not shift.any()
    return () if plain else (gamma, beta)


layernorm_plugin = plugin_pass("layernorm", rewrite, FUNCTIONS)
