"""First phase: every precision whole, then every unit in one precision of each family, one at a time, both ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.matrix import BASELINE_PRECISION
from bench.tune.candidates import families
from bench.tune.quest import Quest
from bench.tune.sensitivity import Sensitivity, noise, ranked, saved, worth_refining
from bench.tune.units import Unit, blocks, inside, units

MOST_UNITS = 40
"""Above that many modules with weights, blocks come first, and the worst of them are refined."""
SHARE = 0.35
"""Of the budget; what is not tried by then stays untried."""


@dataclass(frozen=True, slots=True)
class Sensed:
    """One family: its members that run, the most accurate first, which stands for it; its units, and their ranking."""

    members: tuple[str, ...]
    units: tuple[Unit, ...]
    ranking: tuple[Sensitivity, ...]

    @property
    def precision(self) -> str:
        """The member that the ranking is of."""
        return self.members[0]


def sense(quest: Quest) -> tuple[Sensed, ...]:
    """Every family that runs here, with the ranking of its units; precisions that do not run are left out with the reason."""
    space = quest.space
    model = quest.world.graph(space.case(space.start, BASELINE_PRECISION))
    quest.names = tuple(node.name for node in model.graph.node)
    small = units(model)
    first = small if len(small) <= MOST_UNITS else blocks(model)
    running = _running(quest)
    found = []
    for number, members in enumerate(running):
        share = SHARE * (number + 1) / len(running)
        found.append(_family(quest, members, (first, small), lambda share=share: quest.budget.allows(share)))  # type: ignore[misc]
        quest.found.sensitivities += found[-1].ranking
    return tuple(found)


def _running(quest: Quest) -> list[tuple[str, ...]]:
    """Families of precisions that can be built and run, members by noise."""
    heard: dict[str, float] = {}
    for done, precision in enumerate(quest.space.low):
        quest.show("precisions", done, len(quest.space.low))
        probe = quest.probe(precision)
        if probe.accuracy is None:
            quest.found.left_out[precision] = probe.reason
        else:
            heard[precision] = noise(probe.accuracy)
            quest.note(precision, probe.accuracy)
    return [tuple(sorted(members, key=heard.__getitem__)) for members in families(tuple(heard)).values()]


def _family(quest: Quest, members: tuple[str, ...], sizes: tuple[tuple[Unit, ...], tuple[Unit, ...]], allows: Callable[[], bool]) -> Sensed:
    first, small = sizes
    precision = members[0]
    whole = quest.probe(precision).accuracy
    full = noise(whole) if whole else 0.0
    ranking = ranked(_each(quest, precision, first, allows), full)
    if first == small:
        return Sensed(members, first, ranking)
    finer = {block.label: inside(block, small) for block in first if block.label in worth_refining(ranking)}
    finer = {label: parts for label, parts in finer.items() if len(parts) > 1}
    mixed = tuple(part for block in first for part in finer.get(block.label, (block,)))
    return Sensed(members, mixed, ranked(_each(quest, precision, mixed, allows), full))


def _each(quest: Quest, precision: str, parts: Sequence[Unit], allows: Callable[[], bool]) -> list[Sensitivity]:
    case = quest.space.case
    high = quest.world.profile(case(quest.space.start, BASELINE_PRECISION))
    low = quest.world.profile(case(quest.space.start, precision))
    gained = saved(parts, high, low) if high and low else {}
    found = []
    for done, unit in enumerate(parts):
        if not allows():
            quest.found.untried += [f"sensitivity of {left.label} in {precision}" for left in parts[done:]]
            break
        quest.show(f"sensitivity, {precision}", done, len(parts))
        found.append(_one(quest, precision, unit, gained.get(unit.label)))
    return found


def _one(quest: Quest, precision: str, unit: Unit, saved_us: float | None) -> Sensitivity:
    alone = quest.probe(quest.keeping(precision, set(quest.names) - unit.nodes))
    without = quest.probe(quest.keeping(precision, unit.nodes))
    return Sensitivity(
        precision=precision,
        unit=unit.label,
        alone=noise(alone.accuracy) if alone.accuracy else None,
        without=noise(without.accuracy) if without.accuracy else None,
        saved_us=saved_us,
        why=alone.reason or without.reason,
    )
