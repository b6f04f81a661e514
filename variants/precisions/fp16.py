"""fp16 weights and activations, fp32 inputs and outputs, LayerNorm statistics in fp32."""

from __future__ import annotations

import onnx
import onnx_graphsurgeon as gs

from variants.calibration import Ranges
from variants.layernorm import find
from variants.precision import Precision


def to_fp16(model: onnx.ModelProto, _: Ranges) -> onnx.ModelProto:
    """Convert by ONNX Runtime's float16 tool; the nodes of a decomposed LayerNorm stay in fp32.

    Its squares overflow 65,504 on outlier activations (NVIDIA/TensorRT issues 2564 and 4493); the fused operator
    keeps fp32 statistics by itself.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    graph = gs.import_onnx(onnx.ModelProto.FromString(model.SerializeToString()))
    for number, node in enumerate(graph.nodes):
        node.name = node.name or f"{node.op}_{number}"
    kept = [node.name for match in find(graph) for node in match.nodes]
    converted = convert_float_to_float16(gs.export_onnx(graph), keep_io_types=True, node_block_list=kept)
    _drop_repeated(converted.graph)
    return gs.export_onnx(gs.import_onnx(converted).cleanup().toposort())


def _drop_repeated(graph: onnx.GraphProto) -> None:
    """Keep one of several nodes that write the same tensors: onnxruntime 1.31 casts a tensor once for each kept reader, under one name."""
    unique = {tuple(node.output): node for node in graph.node}.values()
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in unique]
    del graph.node[:]
    graph.node.extend(kept)


fp16 = Precision(
    dtype=onnx.TensorProto.FLOAT16,
    apply=to_fp16,
    min_snr_db=40,
    min_agreement=0.99,
    max_drop=0.005,
    why="11-bit mantissas round to about 66 dB an operation and some 15 dB are lost over a few dozen of them",
    library="onnxruntime",
)
