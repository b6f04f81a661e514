"""int8 by explicit Q/DQ, activation range: the clip of least KL divergence."""

from __future__ import annotations

from variants.lowering.calibration import entropy
from variants.lowering.int8 import Int8

int8_entropy = Int8(entropy).precision()
