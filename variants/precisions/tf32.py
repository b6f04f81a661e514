"""tf32: the graph as it is; TensorRT may round what products read to 10-bit mantissas."""

from __future__ import annotations

import onnx

from variants.precision import Precision

tf32 = Precision(
    dtype=onnx.TensorProto.FLOAT,
    apply=lambda model, *_: model,
    min_snr_db=50,
    min_agreement=0.99,
    max_drop=0.004,
    why="11-bit significands of what a product reads leave about 66 dB each, as fp16 does, but with fp32's range and sums",
    needs="8.0",
    flags=("TF32",),
)
