"""Medians, bootstrap intervals and paired ratios: what may be said about samples, and how surely."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

RESAMPLES = 2000
TAIL_SAMPLES = 299
"""Samples below which a p99 has no 95 % confidence bound: 0.99**n <= 0.05 first holds at 299."""


class Estimate(msgspec.Struct, frozen=True):
    """A median and its 95 % interval, in the unit of the samples."""

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the interval over the value: 0.005 reads "+-0.5 %"."""
        return (self.high - self.low) / 2 / self.value if self.value else float("inf")


def median_interval(values: Sequence[float] | npt.NDArray[np.float64], seed: int = 0) -> Estimate:
    """Median with a 95 % percentile-bootstrap interval (Efron 1979; 2,000 resamples, fixed seed).

    Raises ValueError when `values` is empty.
    """
    data = np.asarray(values, np.float64)
    if not data.size:
        raise ValueError("no samples")
    rows = np.random.default_rng(seed).integers(0, data.size, (RESAMPLES, data.size))
    low, high = np.percentile(np.median(data[rows], axis=1), (2.5, 97.5))
    return Estimate(float(np.median(data)), float(low), float(high))


def block_medians(blocks: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
    """One median a block: within a block samples are correlated, between blocks far less."""
    return np.array([np.median(block) for block in blocks], np.float64)


def speedup(blocks: Sequence[Sequence[float]], baseline: Sequence[Sequence[float]]) -> Estimate:
    """How many times faster than the baseline that took turns with it: median of the paired block ratios.

    Paired, because a drifting machine moves both halves of a pair alike. Raises ValueError on unequal counts.
    """
    if len(blocks) != len(baseline):
        raise ValueError(f"{len(blocks)} blocks against {len(baseline)} of the baseline: pairs were lost")
    logs = np.log(block_medians(baseline)) - np.log(block_medians(blocks))
    of_logs = median_interval(logs)
    return Estimate(*(float(np.exp(x)) for x in (of_logs.value, of_logs.low, of_logs.high)))


def percentile(samples: Sequence[float], p: float) -> float | None:
    """trtexec's percentile, sorted[n-1-int((1-p/100)*n)]; None where n is too small to bound a p99."""
    if p >= 99 and len(samples) < TAIL_SAMPLES:
        return None
    ordered = sorted(samples)
    n = len(ordered)
    return ordered[max(n - 1 - int((1 - p / 100) * n), 0)]
