"""Medians, bootstrap intervals and paired ratios: what may be said about samples, and how surely."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from statistics import median
from typing import TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

Blocks: TypeAlias = Sequence[Sequence[float]]
Pairs: TypeAlias = tuple[Blocks, Blocks]

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
    return _estimate(float(np.median(data)) if data.size else 0.0, _resampled_medians(data, seed))


def _estimate(value: float, resampled: npt.NDArray[np.float64]) -> Estimate:
    low, high = np.percentile(resampled, (2.5, 97.5))
    return Estimate(value, float(low), float(high))


@lru_cache(maxsize=256)
def _median_ranks(size: int, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The ranks whose mean is each resample's median: over sorted data they depend on nothing but the size."""
    ranks = np.random.default_rng(seed).integers(0, size, (RESAMPLES, size))
    middle = (size - 1) // 2, size // 2
    ranks.partition(middle, axis=1)
    return ranks[:, middle[0]].copy(), ranks[:, middle[1]].copy()


def _resampled_medians(data: npt.NDArray[np.float64], seed: int) -> npt.NDArray[np.float64]:
    if not data.size:
        raise ValueError("no samples")
    lower, upper = _median_ranks(data.size, seed)
    ordered = np.sort(data)
    return np.asarray((ordered[lower] + ordered[upper]) / 2, np.float64)


def block_medians(blocks: Blocks) -> npt.NDArray[np.float64]:
    """One median a block: within a block samples are correlated, between blocks far less."""
    return np.array([median(block) for block in blocks], np.float64)


def speedup(blocks: Blocks, baseline: Blocks) -> Estimate:
    """How many times faster than the baseline that took turns with it: median of the paired block ratios.

    Paired, because a drifting machine moves both halves of a pair alike. Raises ValueError on unequal counts.
    """
    of_logs = median_interval(_log_ratios(blocks, baseline))
    return Estimate(*(float(np.exp(x)) for x in (of_logs.value, of_logs.low, of_logs.high)))


def gain(after: Pairs, before: Pairs) -> Estimate:
    """How many times faster `after` is than `before`, each (blocks, baseline blocks) of its own interleaved pairs.

    The ratio of the two speedups, so that what moved both halves of a pair cancels; its interval is a two-sample
    bootstrap, the pairs of either side resampled apart. Both must have the same baseline.
    """
    new, old = _log_ratios(*after), _log_ratios(*before)
    difference = _resampled_medians(new, seed=0) - _resampled_medians(old, seed=1)
    of_logs = _estimate(float(np.median(new) - np.median(old)), difference)
    return Estimate(*(float(np.exp(x)) for x in (of_logs.value, of_logs.low, of_logs.high)))


def _log_ratios(blocks: Blocks, baseline: Blocks) -> npt.NDArray[np.float64]:
    if len(blocks) != len(baseline):
        raise ValueError(f"{len(blocks)} blocks against {len(baseline)} of the baseline: pairs were lost")
    return np.asarray(np.log(block_medians(baseline)) - np.log(block_medians(blocks)), np.float64)


def percentile(samples: Sequence[float], p: float) -> float | None:
    """trtexec's percentile, sorted[n-1-int((1-p/100)*n)]; None where n is too small to bound a p99."""
    if p >= 99 and len(samples) < TAIL_SAMPLES:
        return None
    ordered = sorted(samples)
    n = len(ordered)
    return ordered[max(n - 1 - int((1 - p / 100) * n), 0)]
