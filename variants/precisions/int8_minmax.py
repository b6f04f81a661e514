"""int8 by explicit Q/DQ, activation range: largest magnitude, nothing clipped."""

from __future__ import annotations

from variants.lowering.calibration import minmax
from variants.lowering.int8 import Int8

int8_minmax = Int8(minmax).precision()
