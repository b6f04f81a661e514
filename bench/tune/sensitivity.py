"""What each unit costs in accuracy when it alone is lowered, and what it gives back when it alone is kept."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from bench.tune.units import Unit
from reports.accuracy import Accuracy

LOUDEST = 1e6
"""Noise over signal of an output that is not finite: worse than any that is."""


class Sensitivity(msgspec.Struct, frozen=True):
    """One unit in one precision; noise is error energy over signal energy of the worst output, on the choosing half.

    `alone` is with only this unit low, `without` with all low but this; None where that could not be tried, `why` says why.
    `saved_us` is what the profile says that lowering it saves a run (negative: it costs); None where no profile tells.
    """

    precision: str
    unit: str
    alone: float | None
    without: float | None
    saved_us: float | None
    score: float = 0.0
    why: str = ""


def noise(accuracy: Accuracy) -> float:
    """Error energy over signal energy; where all outputs are decisions, the share decided otherwise."""
    if any(output.non_finite for output in accuracy.outputs):
        return LOUDEST
    if not accuracy.outputs:
        return 1 - accuracy.agreement
    return float(min(LOUDEST, 10 ** (-accuracy.worst_snr_db / 10)))


def decibel(value: float | None) -> float | None:
    """The signal-to-noise ratio of a noise, in dB; None of None, infinite of 0."""
    if value is None:
        return None
    return -10 * math.log10(value) if value > 0 else math.inf


def ranked(found: Sequence[Sensitivity], full: float) -> tuple[Sensitivity, ...]:
    """The most sensitive first; `full` is the noise with everything low.

    The score, 0..1, is the mean of two shares: of the noise that single units make, and of the full noise that
    keeping the unit takes away. The first finds what is loud, the second what nothing else covers up.
    """
    total = sum(entry.alone for entry in found if entry.alone is not None)

    def score(entry: Sensitivity) -> float:
        loud = entry.alone / total if entry.alone is not None and total else 0.0
        taken = max(0.0, full - entry.without) / full if entry.without is not None and full else 0.0
        known = [share for share, value in ((loud, entry.alone), (taken, entry.without)) if value is not None]
        return sum(known) / len(known) if known else 0.0

    scored = [msgspec.structs.replace(entry, score=score(entry)) for entry in found]
    return tuple(sorted(scored, key=lambda entry: -entry.score))


def worth_refining(order: Sequence[Sensitivity], share: float = 0.8, most: int = 4) -> tuple[str, ...]:
    """The blocks, the worst first, that together hold `share` of all scores, but no more than `most` of them."""
    total, held, chosen = sum(entry.score for entry in order), 0.0, []
    for entry in order[:most]:
        if total and held >= share * total:
            break
        chosen.append(entry.unit)
        held += entry.score
    return tuple(chosen)


def saved(units: Sequence[Unit], high: Sequence[tuple[str, float]], low: Sequence[tuple[str, float]]) -> dict[str, float]:
    """Microseconds a run that lowering each unit saves, by label, from two profiles: (node, microseconds) of their layers.

    A layer belongs to the unit with the longest label that its node's name begins with, or that holds the node. Where a
    profile names the layers of less than half of the units, the whole difference is divided by the units' weights instead.
    """
    times = [_by_unit(units, profile) for profile in (high, low)]
    told = [unit for unit in units if unit.label in times[0] and unit.label in times[1]]
    if len(told) * 2 >= len(units):
        return {unit.label: times[0][unit.label] - times[1][unit.label] for unit in told}
    whole = sum(us for _, us in high) - sum(us for _, us in low)
    weight = sum(unit.weight for unit in units) or 1
    return {unit.label: whole * unit.weight / weight for unit in units}


def _by_unit(units: Sequence[Unit], profile: Sequence[tuple[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, us in profile:
        holding = [unit for unit in units if name in unit.nodes or name.startswith(f"{unit.label}/") or name == unit.label]
        if holding:
            label = max(holding, key=lambda unit: len(unit.label)).label
            found[label] = found.get(label, 0.0) + us
    return found
