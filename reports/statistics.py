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
Pairs: TypeAlias = tuple[Blocks, Blocks, Sequence[int]]
"""Blocks of a case, of the baseline that took turns with it, and how many consecutive ones came from each load."""

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


def median_interval(values: Sequence[float] | npt.NDArray[np.float64], loads: Sequence[int] = (), seed: int = 0) -> Estimate:
    """Median with a 95 % percentile-bootstrap interval (Efron 1979; 2,000 resamples, fixed seed).

    `loads` are the numbers of consecutive values that came from one load of the plan. Where there are several,
    loads are resampled before the values inside them (Davison and Hinkley 1997, section 3.8): a load's memory
    layout shifts all its values together, so they are worth less than as many independent ones.
    Raises ValueError when `values` is empty or `loads` does not add up to it.
    """
    data = np.asarray(values, np.float64)
    resampled = _resampled_medians(data, loads, seed)
    return _estimate(float(np.median(data)), resampled)


def _resampled_medians(data: npt.NDArray[np.float64], loads: Sequence[int], seed: int) -> npt.NDArray[np.float64]:
    sizes = tuple(loads) or (data.size,)
    if not data.size or sum(sizes) != data.size:
        raise ValueError(f"{data.size} samples in loads of {sizes}")
    return np.asarray(np.median(data[_resamples(sizes, seed)], axis=1), np.float64)


def _estimate(value: float, resampled: npt.NDArray[np.float64]) -> Estimate:
    low, high = np.percentile(resampled, (2.5, 97.5))
    return Estimate(value, float(low), float(high))


@lru_cache(maxsize=32)
def _resamples(sizes: tuple[int, ...], seed: int) -> npt.NDArray[np.int64]:
    """[RESAMPLES, n] positions: for each resample as many loads as there are, then as many values from each as the longest has."""
    random = np.random.default_rng(seed)
    count, longest = len(sizes), max(sizes)
    picked = random.integers(0, count, (RESAMPLES, count)) if count > 1 else np.zeros((RESAMPLES, 1), np.int64)
    size, offset = np.array(sizes)[picked][..., None], (np.cumsum(sizes) - sizes)[picked][..., None]
    within = (random.random((RESAMPLES, count, longest)) * size).astype(np.int64)
    return np.asarray((offset + within).reshape(RESAMPLES, -1), np.int64)


def block_medians(blocks: Blocks) -> npt.NDArray[np.float64]:
    """One median a block: within a block samples are correlated, between blocks far less."""
    return np.array([median(block) for block in blocks], np.float64)


def speedup(blocks: Blocks, baseline: Blocks, loads: Sequence[int] = ()) -> Estimate:
    """How many times faster than the baseline that took turns with it: median of the paired block ratios.

    Paired, because a drifting machine moves both halves of a pair alike. Raises ValueError on unequal counts.
    """
    of_logs = median_interval(_log_ratios(blocks, baseline), loads)
    return Estimate(*(float(np.exp(x)) for x in (of_logs.value, of_logs.low, of_logs.high)))


def gain(after: Pairs, before: Pairs) -> Estimate:
    """How many times faster `after` is than `before`, each from its own interleaved pairs.

    The ratio of the two speedups, so that what moved both halves of a pair cancels; its interval is a two-sample
    bootstrap, the pairs of either side resampled apart. Both must have the same baseline.
    """
    new, old = _log_ratios(*after[:2]), _log_ratios(*before[:2])
    difference = _resampled_medians(new, after[2], seed=0) - _resampled_medians(old, before[2], seed=1)
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
