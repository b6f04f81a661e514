"""Move booleans as integers: Slice, Expand, Tile and Gather of a bool tensor between two Casts.

move(b) -> Cast(move(Cast(b, int32)), bool), one pair of Casts around a chain of moves
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from variants.graph_pass import Stage, surgeon

MOVES = ("Slice", "Expand", "Tile", "Gather", "GatherElements", "GatherND")
"""What TensorRT 7 to 8.5 refused on booleans (docs/obstacles.md); Not, And and comparisons it took."""


def rewrite(graph: gs.Graph) -> tuple[gs.Graph, int]:
    """Every move of a tensor known to be bool; one whose type is not known is left alone."""
    integers: dict[int, gs.Variable] = {}
    found = [node for node in graph.toposort().nodes if node.op in MOVES and node.inputs[0].dtype == np.bool_]
    for node in found:
        source, moved = node.inputs[0], node.outputs[0]
        if id(source) not in integers:
            integers[id(source)] = _integer(source)
            graph.nodes.append(_cast(source, integers[id(source)], onnx.TensorProto.INT32))
        integers[id(moved)] = _integer(moved)
        node.inputs[0], node.outputs = integers[id(source)], [integers[id(moved)]]
        graph.nodes.append(_cast(integers[id(moved)], moved, onnx.TensorProto.BOOL))
    return graph, len(found)


def _integer(tensor: gs.Tensor) -> gs.Variable:
    return gs.Variable(f"{tensor.name}/integer", np.int32, tensor.shape)


def _cast(tensor: gs.Tensor, output: gs.Tensor, to: int) -> gs.Node:
    return gs.Node("Cast", f"{output.name}/Cast", {"to": to}, [tensor], [output])


cast_booleans = surgeon(rewrite, stage=Stage.REPAIR)
