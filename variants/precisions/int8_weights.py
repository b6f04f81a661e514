"""int8 weights of matrix products, one scale an output channel; activations as they are."""

from __future__ import annotations

import onnx

from variants.lowering.weight_only import channelwise
from variants.precision import Precision

int8_weights = Precision(
    dtype=onnx.TensorProto.INT8,
    apply=channelwise,
    min_snr_db=30,
    min_agreement=0.99,
    max_drop=0.005,
    why="weights alone round to 127 steps of their channel's largest: 40 to 50 dB a product, and nothing is clipped",
    distribution="onnx-graphsurgeon",
)
