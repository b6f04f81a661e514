"""Medians of blocks with bootstrap intervals (the arithmetic is the report's, so both agree)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reports.kernels import Interval, median_interval

__all__ = ["Interval", "geometric_mean", "median_interval", "ratio_interval"]


def ratio_interval(ours_us: Sequence[float], theirs_us: Sequence[float], seed: int = 0) -> tuple[float, float, float]:
    """Median of ours / theirs over blocks taken in turns, and its 95 % interval."""
    ratios = np.asarray(ours_us, dtype=np.float64) / np.asarray(theirs_us, dtype=np.float64)
    got = median_interval(ratios.tolist(), seed=seed)
    return got.median_us, got.low_us, got.high_us


def geometric_mean(values: Sequence[float]) -> float:
    """exp of the mean logarithm; NaN when empty."""
    return float(np.exp(np.mean(np.log(values)))) if len(values) else float("nan")
