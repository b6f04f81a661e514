"""bf16 weights and activations, fp32 inputs and outputs, LayerNorm statistics in fp32 (`bf16:statistics` for bf16 there too)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from onnx import ModelProto, TensorProto

from variants.lowering.calibration import Ranges
from variants.lowering.keep import NONE, Keep
from variants.lowering.low_float import STATISTICS, to_low_float
from variants.precision import Precision


def to_bf16(model: ModelProto, _: Ranges, keep: Keep = NONE, statistics: bool = False) -> ModelProto:
    """Weights and activations in bf16 (variants/lowering/low_float.py)."""
    return to_low_float(model, TensorProto.BFLOAT16, keep, statistics)


def _option(option: str) -> Precision | None:
    return replace(bf16, apply=partial(to_bf16, statistics=True)) if option == STATISTICS else None


bf16 = Precision(
    dtype=TensorProto.BFLOAT16,
    apply=to_bf16,
    min_snr_db=25,
    min_agreement=0.98,
    max_drop=0.01,
    why="8-bit mantissas round to about 48 dB an operation, 18 less than fp16, and some 15 dB are lost over a few dozen of them",
    needs="8.0",
    at=_option,
    options=f"{STATISTICS} (a LayerNorm that is written out in bf16 as well)",
)
