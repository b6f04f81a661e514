"""int4 weights of matrix products, one scale for 32 rows of a column; `int4_weights:64` or `:128` for larger blocks."""

from __future__ import annotations

from dataclasses import replace

import onnx

from variants.lowering.weight_only import blockwise
from variants.precision import Precision

SIZES = (32, 64, 128)


def _sized(option: str) -> Precision | None:
    return replace(int4_weights, apply=blockwise(int(option))) if option in map(str, SIZES) else None


int4_weights = Precision(
    dtype=onnx.TensorProto.INT4,
    apply=blockwise(SIZES[0]),
    min_snr_db=12,
    min_agreement=0.95,
    max_drop=0.02,
    why="7 steps a block leave about 20 dB a product: without training for it, a small network keeps its decisions but little more",
    distribution="onnx-graphsurgeon",
    needs="8.0",
    at=_sized,
    options="a block of 32, 64 or 128 rows",
)
