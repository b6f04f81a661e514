"""First phase: every precision whole, then every unit in one precision of each family, one at a time, both ways."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import onnx

from bench.matrix import BASELINE_PRECISION
from bench.tune.candidates import families
from bench.tune.quest import Quest
from bench.tune.sensitivity import Sensitivity, noise, ranked, saved, worth_refining
from bench.tune.units import Unit, blocks, inside, units
from common.errors import UserError

MOST_UNITS = 40
"""Above that many modules with weights, blocks come first, and the worst of them are refined."""
SHARE = 0.35
"""Of the budget; what is not tried by then stays untried."""
SLACK = 0.03
"""Shares of fp32's layer time within which two calibrations are equally fast."""
GAIN = 0.01
"""Of fp32's layer time that a family must be able to save, or nothing of it is looked for beyond its ranking."""


@dataclass(frozen=True, slots=True)
class Sensed:
    """One family: its members that run, the one first that stands for it; its units, and their ranking.

    `gain` is the share of fp32's layer time that the fastest of them saves, None where no profile tells.
    """

    members: tuple[str, ...]
    units: tuple[Unit, ...] = ()
    ranking: tuple[Sensitivity, ...] = ()
    gain: float | None = None

    @property
    def precision(self) -> str:
        """The member that the ranking is of."""
        return self.members[0]

    @property
    def worth(self) -> bool:
        """Whether there is time to gain."""
        return self.gain is None or self.gain >= GAIN


def sense(quest: Quest) -> tuple[Sensed, ...]:
    """Every family that runs here, with the ranking of its units; precisions that do not run are left out with the reason.

    Families that gain most come first; of one that is no faster here as a whole, blocks are all that is ranked.
    """
    quest.start, model = _begun(quest)
    quest.names = tuple(node.name for node in model.graph.node)
    small, large = units(model), blocks(model)
    running, pace = _running(quest)
    found: list[Sensed] = []
    for family in running:
        affordable = quest.budget.spent + 2 * pace * len(small) < SHARE * quest.budget.seconds
        first = small if family.worth and affordable and len(small) <= MOST_UNITS else large
        found.append(_family(quest, family, (first, small)))
        quest.found.sensitivities += found[-1].ranking
    return tuple(found)


def _begun(quest: Quest) -> tuple[str, onnx.ModelProto]:
    """The first of the pipelines to start from that this model goes through, and its graph; raises the last one's error."""
    space = quest.space
    for pipeline in space.starts:
        try:
            return pipeline, quest.world.graph(space.case(pipeline, BASELINE_PRECISION))
        except UserError as error:
            quest.found.left_out[pipeline], last = str(error), error
    raise last


def _running(quest: Quest) -> tuple[list[Sensed], float]:
    """Families of precisions that can be built and run, members by noise, the family that saves most first; and the seconds of a probe.

    Those of the quickest: the others were calibrated too, which later ones are not.
    """
    heard: dict[str, float] = {}
    pace: list[float] = []
    for done, precision in enumerate(quest.space.low):
        quest.show("precisions", done, len(quest.space.low))
        begun = quest.budget.spent
        probe = quest.probe(precision)
        if probe.accuracy is None:
            quest.found.left_out[precision] = probe.reason
        else:
            pace.append(quest.budget.spent - begun)
            heard[precision] = noise(probe.accuracy)
            quest.note(precision, probe.accuracy)
    found = [_judged(quest, members, heard) for members in families(tuple(heard))]
    return sorted(found, key=lambda family: -(family.gain or 0.0)), min(pace, default=0.0)


def _judged(quest: Quest, members: tuple[str, ...], heard: Mapping[str, float]) -> Sensed:
    """The most accurate of the members that are as fast as the fastest, to SLACK, stands for the family; then by noise."""
    gains = {name: _gain(quest, name) for name in members}
    known = [gain for gain in gains.values() if gain is not None]
    gain = max(known, default=None)
    order = sorted(members, key=lambda name: ((gains[name] or 0.0) < (gain or 0.0) - SLACK, heard[name]))
    return Sensed(tuple(order), gain=gain)


def _gain(quest: Quest, precision: str) -> float | None:
    high, low = _profiles(quest, precision)
    before, after = sum(us for _, us in high), sum(us for _, us in low)
    return (before - after) / before if before and after else None


def _profiles(quest: Quest, precision: str) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    case, start = quest.space.case, quest.start
    return quest.world.profile(case(start, BASELINE_PRECISION)), quest.world.profile(case(start, precision))


def _family(quest: Quest, family: Sensed, sizes: tuple[Sequence[Unit], Sequence[Unit]]) -> Sensed:
    first, small = sizes
    precision = family.precision
    whole = quest.probe(precision).accuracy
    full = noise(whole) if whole else 0.0
    ranking = ranked(_each(quest, precision, first), full)
    coarse = {block.label for block in first} - {unit.label for unit in small}
    worst = [label for label in worth_refining(ranking) if label in coarse and family.worth]
    finer = {block.label: inside(block, small) for block in first if block.label in worst}
    finer = {label: parts for label, parts in finer.items() if len(parts) > 1}
    mixed = tuple(part for block in first for part in finer.get(block.label, (block,)))
    finest = ranked(_each(quest, precision, mixed), full) if finer else ()
    if len(finest) == len(mixed):
        ranking = finest
    else:  # Half a ranking would hide what is most sensitive; that of the blocks is whole.
        mixed = tuple(first)
    possible = _possible(quest, precision, ranking, family.gain)
    return replace(family, units=mixed, ranking=ranking, gain=possible)


def _possible(quest: Quest, precision: str, ranking: Iterable[Sensitivity], gain: float | None) -> float | None:
    """What lowering only those units would save that save any: a precision that loses as a whole may still gain somewhere."""
    saving = [entry.saved_us for entry in ranking if entry.saved_us is not None and entry.saved_us > 0]
    before = sum(us for _, us in _profiles(quest, precision)[0])
    return gain if gain is None or not before else max(gain, sum(saving) / before)


def _each(quest: Quest, precision: str, parts: Sequence[Unit]) -> list[Sensitivity]:
    high, low = _profiles(quest, precision)
    gained = saved(parts, high, low) if high and low else {}
    found = []
    for done, unit in enumerate(parts):
        if not quest.budget.allows(SHARE):
            quest.found.untried += [f"sensitivity of {left.label} in {precision}" for left in parts[done:]]
            break
        quest.show(f"sensitivity, {precision}", done, len(parts))
        found.append(_one(quest, precision, unit, gained.get(unit.label)))
    return found


def _one(quest: Quest, precision: str, unit: Unit, saved_us: float | None) -> Sensitivity:
    alone = quest.probe(quest.keeping(precision, set(quest.names) - unit.nodes))
    if alone.accuracy is None:  # Nothing in it that the precision lowers, so that keeping it changes nothing either.
        return Sensitivity(precision, unit.label, None, None, saved_us, why=alone.reason)
    without = quest.probe(quest.keeping(precision, unit.nodes))
    return Sensitivity(
        precision=precision,
        unit=unit.label,
        alone=noise(alone.accuracy),
        without=noise(without.accuracy) if without.accuracy else None,
        saved_us=saved_us,
        why=without.reason,
    )
