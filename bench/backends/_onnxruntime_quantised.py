"""Quantised graphs as ONNX Runtime's CPU wants to be given them: the same numbers, and integer products come of them.

All of it as seen in onnxruntime 1.31, by the operators of the optimised graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from variants.precision import carries

if TYPE_CHECKING:
    import onnxruntime as ort

BIAS_FUSION = "MatMulAddFusion"
MIDDLE = 128
CODED = ("QuantizeLinear", "DequantizeLinear")


def prepare(model: onnx.ModelProto, chosen: ort.SessionOptions) -> tuple[str, ...]:
    """Change `model` in place and set `chosen` for it; the names of ONNX Runtime's optimisers to leave out.

    It makes a Gemm of a product between Q/DQ and its bias, and computes that in fp32, as no integer Gemm has a float bias:
    that fusion is left out. It takes fp8 Q/DQ for int8 and refuses the graph it makes of it: fp8 stays Q/DQ. It would round
    activations to int8 where weights alone are quantised, unless asked for fp32.
    """
    if not any(node.op_type == "DequantizeLinear" for node in model.graph.node):
        return ()
    if carries(model, TensorProto.FLOAT8E4M3FN):
        chosen.add_session_config_entry("session.disable_quant_qdq", "1")
    chosen.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    _unsigned(model)
    return (BIAS_FUSION,)


def _unsigned(model: onnx.ModelProto) -> None:
    """Activations in uint8 around 128 instead of int8 around 0: x86 multiplies unsigned by signed bytes.

    ONNX Runtime does the same where one product reads a tensor; where several do, it would leave them all in fp32. Its own
    switch for signed ones (session.qdqisint8allowed) makes vit_digits four times slower.
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    made = [node for node in model.graph.node if node.op_type == "QuantizeLinear" and len(node.input) > 2 and node.input[2] in stored]
    signed = {node.output[0]: node for node in made if stored[node.input[2]].data_type == TensorProto.INT8}
    readers = {name: [node for node in model.graph.node if name in node.input] for name in signed}
    for name, node in signed.items():
        if name in {value.name for value in model.graph.output} or any(one.op_type not in CODED for one in readers[name]):
            continue
        zero = numpy_helper.to_array(stored[node.input[2]]).astype(np.int16) + MIDDLE
        shifted = f"{node.input[2]}/unsigned"
        model.graph.initializer.append(numpy_helper.from_array(zero.astype(np.uint8), shifted))
        for one in (node, *readers[name]):
            one.input[2] = shifted
    del model.graph.value_info[:]
