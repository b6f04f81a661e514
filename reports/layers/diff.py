"""Two profiles -> what moved: groups first, then layers, and waterfalls that add up exactly."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Literal, TypeAlias

import msgspec

from reports.layers.align import How, Match, align
from reports.layers.layer import Layer
from reports.layers.profile import Profile
from reports.wording import count

Kind: TypeAlias = Literal["kept", "merged", "split", "regrouped", "appeared", "vanished"]
NAMED = 12
"""Movements that a waterfall names; the rest is one bar."""
BLOCKS = 20
"""Blocks of consecutive runs whose medians give the interval of the latency."""
FEW = 0.3
"""Fraction of the time that has a sure partner, below which two profiles are taken for different networks."""
FINEST = 20
"""Times lie on a grid of 2**-20 us (1 ps), on which sums of floats are exact in any order while the total stays below an hour."""


class Movement(msgspec.Struct, frozen=True):
    """Layers before and after that do the same work, microseconds a run.

    `kind`: merged is several before and one after, split one before and several after, regrouped several on both sides.
    `doubt_us` is the largest sum of |mean - median| of either side: a run's own scatter, below which no change is claimed;
    None where a source has no medians.
    """

    kind: Kind
    how: How
    name: str
    group: str
    before: tuple[Layer, ...]
    after: tuple[Layer, ...]
    before_us: float
    after_us: float
    change_us: float
    doubt_us: float | None = None

    @property
    def doubtful(self) -> bool:
        """Whether the change is within what mean and median of one side differ by."""
        return self.doubt_us is not None and self.kind == "kept" and 0 < abs(self.change_us) <= self.doubt_us


class GroupChange(msgspec.Struct, frozen=True):
    """What one group takes before and after, microseconds a run and number of layers."""

    group: str
    before_us: float
    after_us: float
    change_us: float
    before: int
    after: int


class Step(msgspec.Struct, frozen=True):
    """One bar of a waterfall: from `level_us - change_us` to `level_us`. `movement` indexes Diff.movements, None for a sum of several."""

    label: str
    change_us: float
    level_us: float
    movement: int | None = None


class Diff(msgspec.Struct, frozen=True):
    """What changed from one profile to another; movements and groups by size of change, largest first.

    `before_us` plus the changes of any one of `groups`, `movements`, `waterfall` is `after_us` exactly, as floats.
    """

    before: Profile
    after: Profile
    before_us: float
    after_us: float
    groups: tuple[GroupChange, ...]
    movements: tuple[Movement, ...]
    waterfall: tuple[Step, ...]
    notes: tuple[str, ...]

    @property
    def change_us(self) -> float:
        """The whole change, microseconds a run."""
        return self.after_us - self.before_us


def diff(before: Profile, after: Profile) -> Diff:
    """Align the layers and account for every microsecond. Layers without a time count as 0."""
    time = _grid((*before.layers, *after.layers))
    movements = tuple(sorted((_movement(match, time) for match in align(before.layers, after.layers)), key=_size))
    before_us, after_us = sum(map(time, before.layers)), sum(map(time, after.layers))
    groups = tuple(sorted(_groups(before.layers, after.layers, time), key=lambda g: (-abs(g.change_us), g.group)))
    steps = waterfall(before_us, movements)
    return Diff(before, after, before_us, after_us, groups, movements, steps, tuple(_notes(before, after, movements)))


def waterfall(before_us: float, movements: Sequence[Movement], named: int = NAMED) -> tuple[Step, ...]:
    """The largest movements, those that grew the time last, and the rest in one bar: their levels end at the total after."""
    shown = [(index, m) for index, m in enumerate(movements[:named]) if m.change_us]
    bars: list[tuple[str, float, int | None]] = [(m.name, m.change_us, index) for index, m in shown]
    bars.sort(key=lambda bar: bar[1])
    rest = [m for m in movements[named:] if m.change_us]
    if rest:
        bars.append((f"{len(rest):,} smaller changes", sum(m.change_us for m in rest), None))
    levels = accumulate((change for _, change, _ in bars), initial=before_us)
    next(levels)
    return tuple(Step(label, change, level, index) for (label, change, index), level in zip(bars, levels, strict=True))


def group_steps(found: Diff) -> tuple[Step, ...]:
    """The waterfall of the groups: what became faster, then what became slower."""
    moved = sorted((g for g in found.groups if g.change_us), key=lambda g: g.change_us)
    levels = list(accumulate((g.change_us for g in moved), initial=found.before_us))[1:]
    return tuple(Step(g.group, g.change_us, level) for g, level in zip(moved, levels, strict=True))


def latency(before: Sequence[float], after: Sequence[float]) -> str:
    """What the samples of whole runs say, in a sentence; a claim only where the 95 % intervals of the medians are apart.

    Medians of blocks of consecutive runs are resampled, not runs: neighbours in time are alike.
    """
    from reports.statistics import block_medians, median_interval

    old, new = (median_interval(block_medians(_blocks(side))) for side in (before, after))
    words = f"{old.value:,.1f} µs ({old.low:,.1f} to {old.high:,.1f}) before, {new.value:,.1f} µs ({new.low:,.1f} to {new.high:,.1f}) after"
    if min(len(before), len(after)) < 2 * BLOCKS or (old.low <= new.high and new.low <= old.high):
        return f"There is no difference of latency beyond the noise of these runs: {words}."
    ratio = max(old.value, new.value) / min(old.value, new.value)
    return f"The latency is {ratio:.3f}x {'faster' if new.value < old.value else 'slower'} in these runs: {words}."


def _blocks(samples: Sequence[float]) -> list[Sequence[float]]:
    size = max(len(samples) // BLOCKS, 1)
    return [samples[start : start + size] for start in range(0, len(samples), size)]


def _grid(layers: Iterable[Layer]) -> Callable[[Layer], float]:
    total = math.fsum(_mean(layer) for layer in layers)
    bits = min(FINEST, 51 - math.frexp(total)[1])

    def time(layer: Layer) -> float:
        return math.ldexp(round(math.ldexp(_mean(layer), bits)), -bits)

    return time


def _mean(layer: Layer) -> float:
    return layer.mean_us if layer.mean_us is not None and math.isfinite(layer.mean_us) else 0.0


def _movement(match: Match, time: Callable[[Layer], float]) -> Movement:
    before_us, after_us = sum(map(time, match.before)), sum(map(time, match.after))
    longest = max(match.after or match.before, key=lambda layer: (_mean(layer), -layer.rank))
    doubts = [_scatter(side) for side in (match.before, match.after)]
    doubt = None if None in doubts else max(d for d in doubts if d is not None)
    return Movement(
        kind=_kind(len(match.before), len(match.after)),
        how=match.how,
        name=longest.name,
        group=longest.group,
        before=match.before,
        after=match.after,
        before_us=before_us,
        after_us=after_us,
        change_us=after_us - before_us,
        doubt_us=doubt,
    )


def _scatter(layers: Iterable[Layer]) -> float | None:
    pairs = [(layer.mean_us, layer.median_us) for layer in layers]
    if any(mean is None or median is None for mean, median in pairs):
        return None
    return math.fsum(abs(mean - median) for mean, median in pairs if mean is not None and median is not None)


def _kind(before: int, after: int) -> Kind:
    if not before:
        return "appeared"
    if not after:
        return "vanished"
    if before > 1:
        return "merged" if after == 1 else "regrouped"
    return "split" if after > 1 else "kept"


def _size(movement: Movement) -> tuple[float, float, str]:
    return -abs(movement.change_us), -movement.after_us, movement.name


def _groups(before: Sequence[Layer], after: Sequence[Layer], time: Callable[[Layer], float]) -> Iterable[GroupChange]:
    for group in dict.fromkeys(layer.group for layer in (*before, *after)):
        old, new = ([layer for layer in side if layer.group == group] for side in (before, after))
        before_us, after_us = sum(map(time, old)), sum(map(time, new))
        yield GroupChange(group, before_us, after_us, after_us - before_us, len(old), len(new))


def _notes(before: Profile, after: Profile, movements: Sequence[Movement]) -> Iterable[str]:
    """What the numbers cannot tell, said once."""
    untimed = [side.title for side in (before, after) if all(layer.mean_us is None for layer in side.layers)]
    if untimed:
        yield f"{' and '.join(untimed)} holds no times: the structure is compared, the changes of time mean nothing."
    yield "One profile a side: what a layer's time would be in another build or process is not known, so no change has an interval."
    if before.latencies_us and after.latencies_us:
        yield latency(before.latencies_us, after.latencies_us)
    whole = sum(m.after_us for m in movements) or 1.0
    sure = sum(m.after_us for m in movements if m.how in ("name", "ONNX nodes"))
    if movements and sure < FEW * whole:
        yield f"Only {sure / whole:.1%} of the time after is in layers paired by name or node: are these two of one network?"
    guessed = [m for m in movements if m.how == "type and order"]
    if guessed:
        share = sum(m.after_us for m in guessed) / whole
        yield f"{count(len(guessed), 'pair')} ({share:.1%} of the time after) guessed from type and order."
    doubtful = sum(m.doubtful for m in movements)
    if doubtful:
        yield f"{count(doubtful, 'change')} within what mean and median of one side differ by: marked ~ and not claimed."
    if all(m.doubt_us is None for m in movements):
        yield "There are no medians (TensorRT before 8.4): the scatter within a run is not known either."
