"""int8 by explicit Q/DQ, activation range: 99.99 % of the magnitudes, the rest clipped; `int8_percentile:99.9` for another share."""

from __future__ import annotations

from variants.lowering.calibration import percentile
from variants.lowering.int8 import OPTIONS, Int8


def _covering(share: float) -> Int8 | None:
    return Int8(percentile(share), options=f"a percentage from 50 to 100, {OPTIONS}", number=_covering) if 50 <= share <= 100 else None


int8_percentile = Int8(percentile(99.99), options=f"a percentage from 50 to 100, {OPTIONS}", number=_covering).precision()
