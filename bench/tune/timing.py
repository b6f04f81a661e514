"""Third phase: candidates against the clock, each program once, in rounds that follow from what was timed before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bench.matrix import BASELINE_PRECISION
from bench.passes import ALL, WITHOUT
from bench.tune.point import Point, fastest, point
from bench.tune.quest import Quest
from bench.tune.together import together
from common.errors import UserError
from reports.case import Case
from reports.record import Measured, Record
from reports.wording import shorten, times

SHARE = 0.9
"""Of the budget, for this phase and those before it; what is left is for the duels."""
WIDE, NEAR = 3, 0.85
"""So many of the fastest pipelines meet every precision text that was at least NEAR times as fast as the fastest."""


@dataclass(slots=True)
class Timer:
    """Times cases into `quest.found.points`; a program that was timed under another name is not timed again."""

    quest: Quest
    tried: set[Case] = field(default_factory=set)
    programs: dict[str, Record] = field(default_factory=dict)

    def round(self, phase: str, cases: Iterable[Case], hand: Sequence[Case] = ()) -> None:
        """Time those not tried yet, until the budget's share is spent."""
        new = [case for case in dict.fromkeys(cases) if case not in self.tried]
        for done, case in enumerate(new):
            if not self.quest.budget.allows(SHARE) and not self.quest.world.known(case):
                self.quest.found.untried += [f"timing of {left.id}" for left in new[done:]]
                return
            best = fastest(self.quest.found.points)
            said = f"{times(best.speedup.value)} {best.case.pipeline} {shorten(best.case.precision, 40)}" if best else ""
            self.quest.show(phase, done, len(new), said)
            self.tried.add(case)
            self._one(case, case in hand)

    def _one(self, case: Case, hand: bool) -> None:
        found, world = self.quest.found, self.quest.world
        try:
            program = world.program(case)
        except UserError as error:
            found.left_out[case.id] = str(error)
            return
        record = self.programs.get(program) or world.record(case)
        self.programs[program] = record
        if isinstance(record.outcome, Measured) and record.outcome.baseline == record.case.id:
            found.noise = record.outcome.speedup
        made = point(record, self.quest.goal, hand, case)
        if made is not None:
            found.points.append(made)
        else:
            found.left_out[case.id] = getattr(record.outcome, "reason", "") or type(record.outcome).__name__
        if record.accuracy is not None:
            self.quest.note(case.id, record.accuracy)


def clock(quest: Quest, texts: Sequence[str]) -> None:
    """The raw export, what was kept high, pipelines, precisions across the fastest of them, and last what one would choose by hand.

    What one would choose by hand is many combinations, most of them slow: before them comes what the search itself points at.
    """
    space, timer = quest.space, Timer(quest)
    hand = space.hand_cases
    first = [space.case("none", BASELINE_PRECISION), space.case(quest.start, BASELINE_PRECISION)]
    whole_texts = dict.fromkeys(precision for _, precision in space.hand)
    timer.round(
        "what to keep high, timed", first + [space.case(quest.start, text) for text in (*texts, *space.flagged, *whole_texts)], hand
    )
    if fastest(quest.found.points) is None:
        timer.round("combinations chosen by hand", hand, hand)
    best = fastest(quest.found.points)
    if best is None:
        return
    timer.round("passes", [space.case(pipeline, best.case.precision) for pipeline in _telling(quest)], hand)
    whole = together(quest.found.points, best.case.precision)
    timer.round("what helped, together", [space.case(whole, best.case.precision)] if whole else [], hand)
    wide = _fastest_pipelines(quest.found.points)
    every = _fastest_precisions(quest.found.points)
    timer.round("passes with precisions", [space.case(pipeline, text) for pipeline in wide for text in every], hand)
    timer.round("combinations chosen by hand", hand, hand)


def _telling(quest: Quest) -> tuple[str, ...]:
    """The pipelines less every `all-NAME` whose NAME rewrites nothing in `all`: they are `all`."""
    space = quest.space
    if ALL not in space.pipelines:
        return space.pipelines
    idle = quest.world.idle(space.case(ALL, BASELINE_PRECISION))
    same = {f"{ALL}{WITHOUT}{name}" for name in idle}
    quest.found.left_out |= {name: "that pass rewrites nothing in 'all', so this is 'all'" for name in space.pipelines if name in same}
    return tuple(pipeline for pipeline in space.pipelines if pipeline not in same)


def _fastest_precisions(points: Sequence[Point]) -> tuple[str, ...]:
    """Of the points within the goal, the precisions that came near the fastest anywhere, as timed so far, the fastest first."""
    order = sorted((p for p in points if p.within), key=lambda p: -p.speedup.value)
    return tuple(dict.fromkeys(p.case.precision for p in order if p.speedup.high >= NEAR * order[0].speedup.value))


def _fastest_pipelines(points: Sequence[Point]) -> tuple[str, ...]:
    """Of the points within the goal, the pipelines of the fastest, each once."""
    order = sorted((p for p in points if p.within and not p.same_as), key=lambda p: -p.speedup.value)
    return tuple(dict.fromkeys(p.case.pipeline for p in order))[:WIDE]
