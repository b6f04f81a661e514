"""Write down the channels of a Reshape that a convolution reads, where they are -1 or computed: the weights know them.

Conv(Reshape(x, [n, -1, h, w]), W; group g) -> Conv(Reshape(x, [n, C, h, w]), W; group g), C = g * W.shape[1]
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from variants.graph import constant
from variants.graph_pass import Stage, surgeon

CHANNELS = 1
"""Axis of [batch, channels, ...]."""


def rewrite(graph: gs.Graph) -> tuple[gs.Graph, int]:
    """Every Reshape that a Conv or ConvTranspose of known weights reads and whose target is a constant or a Concat."""
    count = 0
    for node in [node for node in graph.nodes if node.op == "Reshape"]:
        channels = _channels(node)
        target = _constant_target(node, channels) or _computed_target(graph, node, channels) if channels else None
        if target is not None:
            node.inputs[1] = target
            count += 1
    return graph, count


def _channels(reshape: gs.Node) -> int:
    """The channels that a convolution behind `reshape` takes, 0 where none says so."""
    for reader in reshape.outputs[0].outputs:
        if reader.op in ("Conv", "ConvTranspose") and reader.inputs[0] is reshape.outputs[0]:
            shape = reader.inputs[1].shape
            if shape is not None and all(isinstance(size, int) for size in shape[:2]):
                return int(shape[1] * reader.attrs.get("group", 1) if reader.op == "Conv" else shape[0])
    return 0


def _constant_target(reshape: gs.Node, channels: int) -> gs.Tensor | None:
    known = constant(reshape.inputs[1])
    if known is None or known.ndim != 1 or len(known) <= CHANNELS or known[CHANNELS] != -1:
        return None
    written = known.copy()
    written[CHANNELS] = channels
    return gs.Constant(f"{reshape.outputs[0].name}/shape", written)


def _computed_target(graph: gs.Graph, reshape: gs.Node, channels: int) -> gs.Tensor | None:
    """A Concat of single sizes, as exporters write it, anew with the channels in it; nothing where they are there."""
    concat = reshape.inputs[1].inputs[0] if len(reshape.inputs[1].inputs) == 1 else None
    if concat is None or concat.op != "Concat" or len(concat.inputs) <= CHANNELS:
        return None
    if any(size.shape is None or list(size.shape) != [1] for size in concat.inputs):
        return None
    entry = constant(concat.inputs[CHANNELS])
    if entry is not None and entry.item() != -1:
        return None
    name = f"{reshape.outputs[0].name}/shape"
    sizes = list(concat.inputs)
    sizes[CHANNELS] = gs.Constant(f"{name}/channels", np.array([channels], np.int64))
    made = gs.Variable(name, np.int64, [len(sizes)])
    graph.nodes.append(gs.Node("Concat", f"{name}/Concat", {"axis": 0}, sizes, [made]))
    return made


static_reshape = surgeon(rewrite, stage=Stage.REPAIR)
