"""Medians of blocks with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Interval:
    """A median in microseconds with its bootstrap 95 % interval."""

    median_us: float
    low_us: float
    high_us: float

    @property
    def relative_width(self) -> float:
        """Half the interval over the median: 0.005 is +-0.5 %."""
        return (self.high_us - self.low_us) / 2 / self.median_us


def median_interval(samples_us: Sequence[float], resamples: int = 1000, seed: int = 0) -> Interval:
    """Median of `samples_us` and the percentile bootstrap of it."""
    data: NDArray[np.float64] = np.asarray(samples_us, dtype=np.float64)
    rng = np.random.default_rng(seed)
    medians = np.median(data[rng.integers(0, len(data), (resamples, len(data)))], axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    return Interval(float(np.median(data)), float(low), float(high))


def ratio_interval(
    ours_us: Sequence[float],
    theirs_us: Sequence[float],
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Median of ours / theirs over blocks taken in turns, and its 95 % interval.

    Both sequences belong to the same blocks, so a drift of the clock cancels in each ratio.
    """
    ratios = np.asarray(ours_us, dtype=np.float64) / np.asarray(theirs_us, dtype=np.float64)
    got = median_interval(ratios.tolist(), resamples, seed)
    return got.median_us, got.low_us, got.high_us


def geometric_mean(values: Sequence[float]) -> float:
    """exp of the mean logarithm; NaN when empty."""
    return float(np.exp(np.mean(np.log(values)))) if len(values) else float("nan")
