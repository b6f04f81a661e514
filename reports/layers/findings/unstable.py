"""Timing that is not stable: spread, tail, drift, two speeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from reports.layers.finding import Context, Finder, Finding
from reports.layers.findings._layers import named, percent, timed, us
from reports.layers.profile import Profile

FEWEST = 30
SPREAD, TAIL, DRIFT, APART = 0.05, 1.2, 0.02, 0.03
"""Interquartile range and drift of the median, as fractions of it; 99th percentile over it; distance of two speeds."""
SKEW, TICKS_US = 1.1, 2.1
"""Sum of means over sum of medians; two ticks of 1.024 µs, in which many profiles count."""
EXPLAINED = 0.85
"""Of the variance, by a split in two: a normal distribution gives 0.64, a flat one 0.75."""
Samples = npt.NDArray[np.float64]


def _find(profile: Profile, context: Context) -> Sequence[Finding]:
    samples = np.asarray(profile.latencies_us, np.float64)
    samples = samples[np.isfinite(samples) & (samples > 0)]
    evidence = list(_skewed(profile))
    if len(samples) >= FEWEST:
        whole = f"median of {len(samples):,} runs {us(float(np.median(samples)))}, fastest {us(samples.min())}, slowest {us(samples.max())}"
        found = [*_spread(samples), *_drift(samples), *_two_speeds(samples)]
        evidence += [whole, *found] if found else []
    if not evidence:
        return ()
    return (
        Finding(
            "The timing is not stable",
            tuple(evidence),
            "Possible causes, which these files cannot tell apart: clocks that move (lock them: nvidia-smi -lgc), heat or a power "
            "cap, other work on the GPU, too short a warm-up (trtexec --warmUp). Differences smaller than this spread mean nothing.",
        ),
    )


def _skewed(profile: Profile) -> Iterator[str]:
    """Means far above medians: a few runs were much slower. Not by the ticks of the clock, which are a microsecond."""
    both = [(layer.mean_us, layer.median_us, layer) for layer in timed(profile) if layer.mean_us and layer.median_us]
    means, medians = sum(mean for mean, _, _ in both), sum(median for _, median, _ in both)
    if not both or len(both) < len(timed(profile)) or means < SKEW * medians:
        return
    mean, median, layer = max(both, key=lambda entry: entry[0] - entry[1])
    if mean - median > TICKS_US:
        yield f"the layers' means add up to {us(means)}, their medians to {us(medians)}: some runs were much slower"
        yield f"most in {named(layer)}: mean {us(mean)}, median {us(median)}"


def _spread(samples: Samples) -> Iterator[str]:
    low, middle, high, late = np.percentile(samples, (25, 50, 75, 99))
    if (high - low) / middle > SPREAD:
        yield f"half of the runs lie within {percent((high - low) / middle)} of the median, more than {percent(SPREAD)}"
    if late / middle > TAIL:
        yield f"one run in a hundred takes {late / middle:.2f} times the median or more"


def _drift(samples: Samples) -> Iterator[str]:
    """The quarters' medians rise or fall throughout, by more than DRIFT and more than chance moves a median."""
    quarters = [float(np.median(part)) for part in np.array_split(samples, 4)]
    steps = np.diff(quarters)
    change = quarters[-1] / quarters[0] - 1
    iqr = float(np.subtract(*np.percentile(samples, (75, 25))))
    chance = 3 * 0.93 * iqr / np.sqrt(len(samples) / 4) * np.sqrt(2)
    if abs(change) > DRIFT and abs(quarters[-1] - quarters[0]) > chance and (np.all(steps > 0) or np.all(steps < 0)):
        yield f"it drifts: the median of the last quarter is {percent(abs(change))} {'above' if change > 0 else 'below'} that of the first"


def _two_speeds(samples: Samples) -> Iterator[str]:
    """The best split of the sorted samples in two (Otsu), outliers cut off at the 1st and 99th percentile."""
    low, high = np.percentile(samples, (1, 99))
    ordered = np.sort(samples[(samples >= low) & (samples <= high)])
    variance = float(ordered.var())
    if len(ordered) < FEWEST or variance <= 0:
        return
    sums = np.cumsum(ordered)
    left = np.arange(1, len(ordered))
    right = len(ordered) - left
    slow, fast = (sums[-1] - sums[:-1]) / right, sums[:-1] / left
    between = left * right * (slow - fast) ** 2 / len(ordered) ** 2
    at = int(np.argmax(between))
    fewer = min(left[at], right[at]) / len(ordered)
    if between[at] / variance > EXPLAINED and slow[at] / fast[at] - 1 > APART and fewer >= 0.1:
        yield f"it has two speeds: {percent(left[at] / len(ordered))} of the runs around {us(fast[at])}, the rest around {us(slow[at])}"


unstable = Finder(_find)
