"""What a model is, as exported: its size, and the operations and bytes of one inference at the shape that is timed."""

from __future__ import annotations

from pathlib import Path

import onnx

from common.errors import UserError
from reports.layers.onnx_cost import moved, operations
from reports.layers.onnx_graph import read
from reports.record import GraphSize, ModelFacts
from variants.shapes import described
from variants.variant import Sizes


def model_facts(file: Path, size: GraphSize, parameters: int, sizes: Sizes) -> ModelFacts:
    """Of the export in `file`; nodes whose cost is not known from the shapes are counted and left out of the sums."""
    model = onnx.load(file, load_external_data=False)
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    costs = _costs(file, sizes, len(model.graph.node))
    known = [cost for cost in costs if cost is not None]
    return ModelFacts(
        sizes=described(sizes),
        opset=opset,
        size=size,
        parameters=parameters,
        operations=sum(count for count, _ in known),
        bytes_moved=round(sum(moving for _, moving in known)),
        unknown=len(costs) - len(known),
    )


def _costs(file: Path, sizes: Sizes, nodes: int) -> list[tuple[int, float] | None]:
    """(operations, bytes) of every outer node, None where the shapes do not tell; a body counts with its node."""
    try:
        graph = read(file, sizes)
    except UserError:
        return [None] * nodes
    found: list[tuple[int, float] | None] = []
    for node in graph.nodes:
        if not node.parent:
            count, (taken, given) = operations(node, graph), moved(node, graph)
            found.append(None if count is None or taken is None or given is None else (count, taken + given))
    return found
