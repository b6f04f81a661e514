"""Timed candidates: the front of latency and accuracy, and whether one does what another does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from bench.tune.goal import Goal
from reports.case import Case
from reports.record import Measured, Record
from reports.statistics import Estimate
from reports.wording import decibel


class Point(msgspec.Struct, frozen=True):
    """A measured case; `loss` is in the goal's sense (lower is better), `within` whether it is allowed.

    `latency_us` is a run's, `speedup` against the raw fp32 export that took turns with it; that export itself is 1 by definition,
    whatever noise its own copy showed. `hand` marks a combination of the
    presets, `same_as` the case whose plan is the same program, where that was timed instead.
    """

    case: Case
    loss: float
    within: bool
    latency_us: Estimate
    speedup: Estimate
    accuracy: str
    notes: tuple[str, ...] = ()
    hand: bool = False
    same_as: str = ""


SELF = Estimate(1.0, 1.0, 1.0)


def point(record: Record, goal: Goal, hand: bool = False, alias: Case | None = None) -> Point | None:
    """The point of a record, None where it was not timed; under the name of `alias`, where that is the same program."""
    outcome, accuracy = record.outcome, record.accuracy
    if not isinstance(outcome, Measured) or accuracy is None:
        return None
    snr = decibel(accuracy.worst_snr_db)
    text = f"SNR {snr}{'' if snr == 'equal' else ' dB'}, {accuracy.change}"
    same = record.case.id if alias and alias != record.case else ""
    speedup = SELF if outcome.baseline == record.case.id else outcome.speedup
    return Point(
        alias or record.case,
        goal.loss(accuracy),
        goal.holds(accuracy),
        outcome.median_us,
        speedup,
        text,
        outcome.notes,
        hand,
        same,
    )


def front(points: Iterable[Point]) -> tuple[Point, ...]:
    """The points that no other matches in speed and accuracy while beating it in one; the fastest first.

    Of equals, the one with fewer passes and the shorter precision.
    """
    order = sorted(points, key=lambda p: (-p.speedup.value, p.loss, bool(p.same_as), len(p.case.passes), len(p.case.precision)))
    kept: list[Point] = []
    for candidate in order:
        if not kept or candidate.loss < kept[-1].loss:
            kept.append(candidate)
    return tuple(kept)


def fastest(points: Iterable[Point]) -> Point | None:
    """The fastest that is within the goal."""
    allowed = [p for p in points if p.within]
    return max(allowed, key=lambda p: p.speedup.value, default=None)


def contenders(points: Sequence[Point], most: int = 5) -> tuple[Point, ...]:
    """Those within the goal whose interval reaches into the fastest's, the fastest first: noise may have chosen among them."""
    best = fastest(points)
    if best is None:
        return ()
    near = [p for p in points if p.within and not p.same_as and p.speedup.high >= best.speedup.low]
    return tuple(sorted(near, key=lambda p: -p.speedup.value)[:most])


def matched_by(hand: Point, points: Iterable[Point]) -> Point | None:
    """The most accurate point no worse in accuracy and no slower than `hand`, by measured medians; None where there is none."""
    at_least = [p for p in points if p.loss <= hand.loss and p.speedup.value >= hand.speedup.value]
    return min(at_least, key=lambda p: (p.loss, -p.speedup.value), default=None)
