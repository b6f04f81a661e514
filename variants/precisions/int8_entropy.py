"""int8 by explicit Q/DQ, activation range: the clip of least KL divergence."""

from __future__ import annotations

from variants.calibration import entropy
from variants.int8 import Int8

int8_entropy = Int8(entropy).precision()
