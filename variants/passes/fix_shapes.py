"""Fix the free dimensions at the case's sizes, and compute all that follows from them: no shape is left to a run.

f(Shape(x)) -> constant, x of shape [batch 1, sequence 128, ...]

A graph without shape arithmetic runs on the device alone, so ONNX Runtime's CUDA provider can capture it as a CUDA graph; it
refuses where a node is left to the CPU, and shape nodes are. The graph takes no other size from then on.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx_graphsurgeon as gs

from variants.explain import decline
from variants.graph_pass import Setting, Stage, fitted_surgeon
from variants.symbolic.static import Static, is_static


def rewrite(graph: gs.Graph, setting: Setting) -> tuple[gs.Graph, int]:
    """Counts the dimensions that are fixed and the nodes that are computed; a dimension that the case does not name stays free."""
    if not setting.sizes:
        return graph, 0
    fixed = sum(_fix(tensor, setting.sizes) for tensor in graph.inputs)
    for tensor in graph.inputs:
        for size in tensor.shape or ():
            if not isinstance(size, int):
                decline(tensor.name, f"the case gives no size for its dimension '{size}'" if size else "a dimension of it has no name")
    if fixed:
        for tensor in graph.tensors().values():
            _fix(tensor, setting.sizes)
    return graph, fixed + _compute(graph)


def _fix(tensor: gs.Tensor, sizes: Mapping[str, int]) -> int:
    """How many dimensions of a tensor became numbers."""
    if isinstance(tensor, gs.Constant) or tensor.shape is None:
        return 0
    count = sum(size in sizes for size in tensor.shape if isinstance(size, str))
    if count:
        tensor.shape = [sizes.get(size, size) if isinstance(size, str) else size for size in tensor.shape]
    return count


def _compute(graph: gs.Graph) -> int:
    """How many nodes became constants."""
    static = Static(graph)
    outputs = {id(tensor) for tensor in graph.outputs}
    count = 0
    for node in list(graph.toposort().nodes):
        static.visit(node)
        if node.op in ("Shape", "Size") and not is_static(node.inputs[0]):
            decline(node.inputs[0].name, "its shape is known only when the graph runs")
        if node.outputs and all(id(tensor) in static.values for tensor in node.outputs):
            count += _store(graph, node, static, outputs)
    return count


def _store(graph: gs.Graph, node: gs.Node, static: Static, outputs: set[int]) -> int:
    """Constants in place of a node's outputs; an output of the graph stays what a node writes."""
    made = list(node.outputs)
    node.outputs.clear()
    for tensor in made:
        value = static.values[id(tensor)]
        if id(tensor) in outputs:
            stored = gs.Constant(f"{tensor.name}/value", value)
            graph.nodes.append(gs.Node("Constant", f"{tensor.name}/Constant", {"value": stored}, [], [tensor]))
        else:
            tensor.to_constant(value)
    return 1


fix_shapes = fitted_surgeon(rewrite, stage=Stage.AHEAD, routine=False, changes="free dimensions become the case's")
