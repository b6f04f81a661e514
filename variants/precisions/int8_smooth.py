"""int8 by explicit Q/DQ behind SmoothQuant: outlying channels moved into the weights, then the clip of least mean square error.

`int8_smooth:0.7` moves more of them (alpha, 0.5 by default, from 0 to 1).
"""

from __future__ import annotations

from variants.lowering.calibration import mse
from variants.lowering.int8 import OPTIONS, Int8


def _moving(alpha: float) -> Int8 | None:
    return Int8(mse, alpha, options=f"alpha from 0 to 1, {OPTIONS}", number=_moving) if 0 <= alpha <= 1 else None


int8_smooth = Int8(mse, 0.5, options=f"alpha from 0 to 1, {OPTIONS}", number=_moving).precision()
