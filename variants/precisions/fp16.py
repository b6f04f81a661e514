"""fp16 weights and activations, fp32 inputs and outputs, LayerNorm statistics in fp32."""

from __future__ import annotations

import onnx
import onnx_graphsurgeon as gs
from onnx import TensorProto, helper

from variants.calibration import Ranges
from variants.graph import exported, with_shapes
from variants.keep import Keep
from variants.layernorm import find
from variants.precision import NONE, Precision


def to_fp16(model: onnx.ModelProto, _: Ranges, keep: Keep = NONE) -> onnx.ModelProto:
    """Convert by ONNX Runtime's float16 tool; the nodes of a decomposed LayerNorm stay in fp32.

    Its squares overflow 65,504 on outlier activations (NVIDIA/TensorRT issues 2564 and 4493); the fused operator
    keeps fp32 statistics by itself.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    graph = gs.import_onnx(with_shapes(model))
    own = _name_all(graph)
    kept = [*keep, *(node.name for match in find(graph) for node in match.nodes)]
    converted = convert_float_to_float16(gs.export_onnx(graph), keep_io_types=True, node_block_list=kept)
    _drop_repeated(converted.graph)
    _drop_round_trips(converted.graph, own)
    return exported(gs.import_onnx(converted))


def _name_all(graph: gs.Graph) -> set[str]:
    """All names, every node having one to itself: by name the tool is told which nodes to leave."""
    taken: set[str] = set()
    for number, node in enumerate(sorted(graph.nodes, key=lambda node: not node.name)):
        while not node.name or node.name in taken:
            node.name = f"{node.name or node.op}_{number}"
        taken.add(node.name)
    return taken


def _drop_repeated(graph: onnx.GraphProto) -> None:
    """Keep one of several nodes that write the same tensors: onnxruntime 1.31 casts a tensor once for each kept reader, under one name."""
    unique = {tuple(node.output): node for node in graph.node}.values()
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in unique]
    del graph.node[:]
    graph.node.extend(kept)


def _drop_round_trips(graph: onnx.GraphProto, own: set[str]) -> None:
    """Join kept nodes in fp32: the tool casts to fp16 and back between two of them, where the squares would overflow after all."""
    casts = {node.output[0]: node for node in graph.node if node.op_type == "Cast" and node.name not in own}
    outputs = {value.name for value in graph.output}
    direct: dict[str, str] = {}
    for name, back in casts.items():
        there = casts.get(back.input[0])
        if there is None or (_target(there), _target(back)) != (TensorProto.FLOAT16, TensorProto.FLOAT):
            continue
        if name in outputs:
            back.input[0] = there.input[0]
        else:
            direct[name] = there.input[0]
    for node in graph.node:
        node.input[:] = [direct.get(name, name) for name in node.input]


def _target(cast: onnx.NodeProto) -> int:
    return int(helper.get_node_attr_value(cast, "to"))


fp16 = Precision(
    dtype=TensorProto.FLOAT16,
    apply=to_fp16,
    min_snr_db=40,
    min_agreement=0.99,
    max_drop=0.005,
    why="11-bit mantissas round to about 66 dB an operation and some 15 dB are lost over a few dozen of them",
    distribution="onnxruntime",
)
