"""Which units to keep high: an order by accuracy for time, the shortest prefix of it that suffices, and less still."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.tune.sensitivity import Sensitivity

Kept = tuple[str, ...]
"""Labels of the units kept high, in the order in which they were chosen."""
Suffices = Callable[[Kept], bool]
LEAST_US = 0.1
"""What keeping a unit costs at least: a profile does not tell less apart."""


def order(found: Sequence[Sensitivity]) -> Kept:
    """The greedy order of the knapsack: what lowering does not speed up first, then by score for each microsecond lost.

    A unit of which no profile tells counts with the mean of the others.
    """
    known = [entry.saved_us for entry in found if entry.saved_us is not None]
    usual = sum(known) / len(known) if known else 1.0
    cost = {entry.unit: usual if entry.saved_us is None else entry.saved_us for entry in found}
    gain = {entry.unit: entry.score for entry in found}
    return tuple(sorted(cost, key=lambda unit: (cost[unit] > 0, -gain[unit] / max(cost[unit], LEAST_US))))


def free(found: Sequence[Sensitivity]) -> Kept:
    """The units that the profile says are no faster low: keeping them costs nothing."""
    return tuple(entry.unit for entry in found if entry.saved_us is not None and entry.saved_us <= 0)


def shortest(ordered: Kept, suffices: Suffices) -> Kept | None:
    """The shortest prefix that suffices, found by bisection; None where not even all of them do.

    Bisection takes it that keeping more is never worse; where that is not so, a prefix that suffices comes out all the
    same, though perhaps not the shortest.
    """
    if suffices(()):
        return ()
    if not suffices(ordered):
        return None
    low, high = 0, len(ordered)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(ordered[:middle]) else (middle, high)
    return ordered[:high]


def pruned(kept: Kept, saved_us: Callable[[str], float], suffices: Suffices) -> Kept:
    """Without the units that are not needed: each in turn is lowered again, the one that saves most first, and kept only if that fails."""
    for unit in sorted(kept, key=lambda unit: -saved_us(unit)):
        if saved_us(unit) <= 0:
            continue
        fewer = tuple(other for other in kept if other != unit)
        if suffices(fewer):
            kept = fewer
    return kept


def stricter(ordered: Kept, smallest: Kept, steps: int = 2) -> tuple[Kept, ...]:
    """A few sets that keep more than `smallest`, for the rest of the front: evenly spaced, all but everything."""
    left = [unit for unit in ordered if unit not in smallest]
    sizes = dict.fromkeys(len(left) * step // (steps + 1) for step in range(1, steps + 1))
    return tuple((*smallest, *left[:size]) for size in sizes if 0 < size < len(left))
