"""Second phase: for each family the cheapest units to keep high, as precision texts worth timing."""

from __future__ import annotations

from collections.abc import Iterable

from bench.matrix import BASELINE_PRECISION
from bench.precisions import THEN
from bench.precisions import find as find_precision
from bench.tune import keep_sets
from bench.tune.keep_sets import Kept
from bench.tune.quest import Quest
from bench.tune.sensing import Sensed
from common.errors import UserError

SHARE = 0.5
"""Of the budget, for this phase and those before it."""
FASTER = 0.97
"""A precision's layers must take no more than this share of fp32's, before what another leaves high is put into it."""


def keep(quest: Quest, sensed: Iterable[Sensed]) -> tuple[str, ...]:
    """Texts that hold the goal on the choosing half, the cheapest first within a family; how near the others came is noted."""
    found: dict[str, None] = {}
    every = tuple(sensed)
    for family in every:
        if not family.worth:
            quest.found.left_out[f"sets to keep high in {family.precision}"] = "its layers save no time here"
            found |= {member: None for member in family.members if _suffices(quest, member)}
            continue
        nodes = {unit.label: unit.nodes for unit in family.units}
        for kept in _sets(quest, family):
            for text in _written(quest, family, every, [node for label in kept for node in nodes[label]]):
                found[text] = None
                quest.found.kept[text] = kept
    return tuple(found)


def _sets(quest: Quest, family: Sensed) -> tuple[Kept, ...]:
    """The pruned set first, then what is free to keep beside it, then stricter ones; none where nothing suffices."""
    nodes = {unit.label: unit.nodes for unit in family.units}
    tried = 0

    def suffices(kept: Kept) -> bool:
        nonlocal tried
        if len(kept) == len(nodes):
            return True  # All kept is fp32, which the precision would refuse as a false name.
        quest.show(f"what to keep high, {family.precision}", tried, max(tried, 2 * len(nodes).bit_length() + len(kept)))
        tried += 1
        return _suffices(quest, quest.keeping(family.precision, [node for label in kept for node in nodes[label]]))

    ranking = family.ranking
    cost = dict.fromkeys(nodes, 0.0) | {entry.unit: entry.saved_us or 0.0 for entry in ranking}
    known = keep_sets.order(ranking)
    ordered = (*known, *(label for label in nodes if label not in known))  # What the budget left unknown is kept last.
    smallest = keep_sets.shortest(ordered, suffices)
    if smallest is None:
        return ()
    least = keep_sets.pruned(smallest, cost.__getitem__, suffices)
    free = keep_sets.free(ranking)
    beside = tuple(dict.fromkeys((*least, *free)))
    strict = keep_sets.stricter(ordered, least)
    sets = [(), least, beside, smallest, *(kept for kept in strict if len(kept) < len(nodes))]
    return tuple(kept for kept in dict.fromkeys(sets) if len(kept) < len(nodes) and suffices(kept))


def _suffices(quest: Quest, text: str) -> bool:
    if not quest.budget.allows(SHARE):
        quest.found.untried.append(f"accuracy of {text}")
        return False
    probe = quest.probe(text)
    if probe.accuracy is None:
        return False
    quest.note(text, probe.accuracy)
    return quest.accepts(text, probe.accuracy)


def _written(quest: Quest, family: Sensed, every: Iterable[Sensed], nodes: list[str]) -> list[str]:
    """The set in each calibration of the family, and with what it keeps put into a faster precision than fp32."""
    texts = [quest.keeping(family.precision, nodes)]
    texts += [text for member in family.members[1:] if _suffices(quest, text := quest.keeping(member, nodes))]
    for other in every:
        second = other.precision
        if other is family or not nodes or find_precision(second).value.calibrate is not None or not _faster(quest, second):
            continue
        try:
            both = f"{texts[0]}{THEN}{second}"
            find_precision(both)
        except UserError:
            continue
        texts += [both] if _suffices(quest, both) else []
    return texts


def _faster(quest: Quest, precision: str) -> bool:
    case, start = quest.space.case, quest.start
    times = [sum(us for _, us in quest.world.profile(case(start, name))) for name in (precision, BASELINE_PRECISION)]
    return 0 < times[0] <= FASTER * times[1]
