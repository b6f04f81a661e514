"""fp32: the graph as it is."""

from __future__ import annotations

import onnx

from variants.precision import Precision

fp32 = Precision(
    dtype=onnx.TensorProto.FLOAT,
    apply=lambda model, *_: model,
    min_snr_db=80,
    min_agreement=0.995,
    max_drop=0.003,
    why="same arithmetic in another order: 24-bit mantissas leave about 100 dB after six blocks; TF32 would leave about 60",
)
