"""What the int8 precisions have in common: a way to choose ranges, and the forms that the user may ask for instead.

NAME            Q/DQ around matrix products and convolutions by a constant, and on the skip connections of convolutions
NAME:attention  the products of two activations as well
NAME:integer    ONNX Runtime's integer operators with the bias inside in place of Q/DQ: for its CPU, TensorRT has none of them
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import onnx

from variants.lowering.calibration import Ranges, Threshold, calibrate, minmax
from variants.lowering.integer import DOMAIN, insert_integer
from variants.lowering.keep import NONE, Keep
from variants.lowering.placement import EVERYWHERE, MATRICES, Placement
from variants.lowering.quantize import activations, insert_qdq
from variants.lowering.smooth import applied, smoothed_ranges
from variants.precision import Precision
from variants.variant import Tensors

WHY = "8-bit steps of one scale a tensor leave 30 to 40 dB a product; under 20 dB the decisions of a classifier begin to turn"
INTEGER, ATTENTION = "integer", "attention"
OPTIONS = f"{ATTENTION} (the products of two activations too), {INTEGER} (ONNX Runtime's operators, no Q/DQ)"


@dataclass(frozen=True, slots=True)
class Int8:
    """One way to int8: how ranges are chosen (smoothed before by `alpha`, where it is given) and what is quantised."""

    threshold: Threshold
    alpha: float | None = None
    placement: Placement = EVERYWHERE
    integer: bool = False
    options: str = OPTIONS
    number: Callable[[float], Int8 | None] = lambda value: None

    def precision(self) -> Precision:
        """As it is declared."""
        return Precision(
            dtype=onnx.TensorProto.INT8,
            apply=self._apply,
            min_snr_db=20,
            min_agreement=0.98,
            max_drop=0.01,
            why=WHY,
            calibrate=self._calibrate,
            distribution="onnx-graphsurgeon",
            domain=DOMAIN if self.integer else "",
            at=self._at,
            options=self.options,
        )

    def _calibrate(self, model: onnx.ModelProto, inputs: Tensors) -> Ranges:
        if self.alpha is not None:
            return smoothed_ranges(model, inputs, self.threshold, self.alpha, self.placement)
        found = calibrate(model, activations(model, replace(self.placement, attention=False)), inputs, self.threshold)
        return found + self._attention(model, inputs, {one.tensor for one in found}) if self.placement.attention else found

    def _attention(self, model: onnx.ModelProto, inputs: Tensors, known: set[str]) -> Ranges:
        """Nothing clipped: a clip takes from the softmax the few weights that matter (vit_digits: 37 dB, 24 by entropy)."""
        more = [name for name in activations(model, self.placement) if name not in known]
        return calibrate(model, more, inputs, minmax)

    def _apply(self, model: onnx.ModelProto, ranges: Ranges, keep: Keep = NONE) -> onnx.ModelProto:
        moved, limits = applied(model, ranges)
        if self.integer:
            return insert_integer(moved, limits, keep)
        return insert_qdq(moved, limits, keep, placement=self.placement)

    def _at(self, option: str) -> Precision | None:
        if option == ATTENTION and not self.integer:
            return replace(self, placement=replace(self.placement, attention=True)).precision()
        if option == INTEGER and not self.placement.attention:
            return replace(self, placement=MATRICES, integer=True).precision()
        try:
            found = self.number(float(option))
        except ValueError:
            return None
        return replace(found, placement=self.placement, integer=self.integer).precision() if found else None
