"""What a pass file declares: one transform of an ONNX graph that says how much it rewrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import onnx
import onnx_graphsurgeon as gs

from variants.graph import exported, graphs, with_shapes


@dataclass(frozen=True, slots=True)
class GraphPass:
    """`run(model)` returns the new model and the number of rewrites; it may not change its argument.

    `distribution` is the installed package that does the work; its version is part of the cache key.
    """

    run: Callable[[onnx.ModelProto], tuple[onnx.ModelProto, int]]
    distribution: str = ""


def surgeon(rewrite: Callable[[gs.Graph], tuple[gs.Graph, int]]) -> GraphPass:
    """A pass written with GraphSurgeon; a rewrite of nothing leaves the model as it was, byte for byte."""

    def run(model: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
        graph, rewrites = rewrite(gs.import_onnx(with_shapes(model)))
        if not rewrites:
            return model, 0
        return exported(graph), rewrites

    return GraphPass(run, "onnx-graphsurgeon")


def cleaner(clean: Callable[[onnx.ModelProto], onnx.ModelProto], distribution: str) -> GraphPass:
    """A library's whole clean-up as one pass; its rewrites are the nodes that went or came, counted by operator type, bodies included."""

    def run(model: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
        before = _operators(model)
        after = clean(onnx.ModelProto.FromString(model.SerializeToString()))
        _put_inputs_back(model.graph, after.graph)
        now = _operators(after)
        return after, (before - now).total() + (now - before).total()

    return GraphPass(run, distribution)


def _put_inputs_back(before: onnx.GraphProto, after: onnx.GraphProto) -> None:
    """onnxslim drops an input that nothing reads, but whoever runs the model still feeds it."""
    stored = {tensor.name for tensor in before.initializer}
    kept = {value.name for value in after.input}
    after.input.extend(value for value in before.input if value.name not in kept | stored)


def _operators(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for graph in graphs(model.graph) for node in graph.node)
