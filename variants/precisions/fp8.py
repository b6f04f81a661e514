"""fp8 (e4m3) by explicit Q/DQ around matrix products by a constant, activation range: largest magnitude."""

from __future__ import annotations

import onnx

from variants.lowering.calibration import Ranges, calibrate, minmax
from variants.lowering.keep import NONE, Keep
from variants.lowering.placement import MATRICES
from variants.lowering.quantize import FP8, activations, insert_qdq
from variants.precision import Precision


def to_fp8(model: onnx.ModelProto, ranges: Ranges, keep: Keep = NONE) -> onnx.ModelProto:
    """Q/DQ in float8e4m3fn. Nothing is clipped, which would lose more than it wins: the steps shrink with the values.

    Convolutions stay high: TensorRT-RTX has fp8 for matrix products only (docs.nvidia.com/deeplearning/tensorrt-rtx, Working
    with Quantized Types).
    """
    return insert_qdq(model, ranges, keep, FP8, MATRICES)


fp8 = Precision(
    dtype=onnx.TensorProto.FLOAT8E4M3FN,
    apply=to_fp8,
    min_snr_db=20,
    min_agreement=0.98,
    max_drop=0.01,
    why="4-bit significands round to about 31 dB an operation, whatever the range; a few dozen of them lose some 5 to 10 dB more",
    calibrate=lambda model, inputs: calibrate(model, activations(model, MATRICES), inputs, minmax),
    distribution="onnx-graphsurgeon",
    needs="8.9",
)
