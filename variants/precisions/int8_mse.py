"""int8 by explicit Q/DQ, activation range: the clip of least mean square error."""

from __future__ import annotations

from variants.lowering.calibration import mse
from variants.lowering.int8 import Int8

int8_mse = Int8(mse).precision()
