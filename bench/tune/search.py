"""The search: which units are sensitive, the cheapest set to keep, passes and calibration against the clock, then duels."""

from __future__ import annotations

from bench.tune.keeping import keep
from bench.tune.point import Point, contenders, fastest, front
from bench.tune.quest import Found, Quest
from bench.tune.sensing import sense
from bench.tune.timing import clock


def search(quest: Quest) -> Found:
    """Run every phase that the budget allows; `winner` is None where nothing timed is within the goal."""
    clock(quest, keep(quest, sense(quest)))
    quest.found.winner = _confirmed(quest)
    _halves(quest)
    return quest.found


def _confirmed(quest: Quest) -> Point | None:
    """The fastest, after duels with those that noise may have put behind it: a challenger must win by its whole interval."""
    near = contenders(quest.found.points)
    best = fastest(quest.found.points)
    for done, challenger in enumerate(near[1:]):
        champion = best if best is not None and not best.same_as else near[0]
        if not quest.budget.allows():
            quest.found.untried += [f"duel of {left.case.id}" for left in near[1 + done :]]
            break
        quest.show("duels", done, len(near) - 1, champion.case.id)
        ratio = quest.world.duel(challenger.case, champion.case)
        quest.found.duels.append((challenger.case.id, champion.case.id, ratio))
        best = challenger if ratio.low > 1 else champion
    return best


def _halves(quest: Quest) -> None:
    """What those on the front lose on the half that chose, and on the half that chose nothing."""
    shown = list(front(quest.found.points))
    if quest.found.winner is not None:
        shown.append(quest.found.winner)
    for done, entry in enumerate(dict.fromkeys(p.case for p in shown)):
        quest.show("held-out half", done, len(shown))
        found = [quest.world.probe(entry, half).accuracy for half in ("choosing", "held out")]
        if found[0] is not None and found[1] is not None:
            quest.found.halves[entry.id] = quest.goal.loss(found[0]), quest.goal.loss(found[1])
