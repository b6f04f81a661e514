"""fp16 weights and activations, fp32 inputs and outputs, LayerNorm statistics in fp32 (`fp16:statistics` for fp16 there too)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from onnx import ModelProto, TensorProto

from variants.lowering.calibration import Ranges
from variants.lowering.keep import NONE, Keep
from variants.lowering.low_float import STATISTICS, to_low_float
from variants.precision import Precision


def to_fp16(model: ModelProto, _: Ranges, keep: Keep = NONE, statistics: bool = False) -> ModelProto:
    """Weights and activations in fp16 (variants/lowering/low_float.py)."""
    return to_low_float(model, TensorProto.FLOAT16, keep, statistics)


def _option(option: str) -> Precision | None:
    return replace(fp16, apply=partial(to_fp16, statistics=True)) if option == STATISTICS else None


fp16 = Precision(
    dtype=TensorProto.FLOAT16,
    apply=to_fp16,
    min_snr_db=40,
    min_agreement=0.99,
    max_drop=0.005,
    why="11-bit mantissas round to about 66 dB an operation and some 15 dB are lost over a few dozen of them",
    at=_option,
    options=f"{STATISTICS} (a LayerNorm that is written out in fp16 as well)",
)
