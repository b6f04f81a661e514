"""What each step brought, in order: passes added one by one, then precisions, each against the first row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reports.blocks import MISSING, Block, Cell, Chooser, Column, Option, Prose, Table
from reports.case import ONNX
from reports.record import Measured
from reports.run import PLAIN, Entry, Run, step_gain
from reports.section import Section
from reports.statistics import Estimate
from reports.wording import Claim, badge, claim, microseconds, range_times, range_us, ratio_bar, times

STACKED = 6
"""Up to this many ladders stand one under the other; more are chosen from."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One row: what the step is, the case, and the row it builds on; `depth` counts the steps before it."""

    step: str
    entry: Entry
    below: Entry | None
    depth: int


def rungs(entries: Sequence[Entry]) -> tuple[Rung, ...]:
    """The ladder of one place: the plain export, pipelines by what they extend, then the other precisions.

    The deepest branch comes first; a pipeline that extends none stands beside it. A precision stands on the
    pipeline of most passes it was tried with (`all` is many); its other combinations are in the matrix. Networks of another
    source come last.
    """
    layered = [entry for entry in entries if entry.case.source != ONNX]
    entries = [entry for entry in entries if entry.case.source == ONNX]
    plain = {entry.case.passes: entry for entry in entries if entry.case.precision == PLAIN}
    parents = {passes: _parent(passes, plain) for passes in plain}
    tops = [passes for passes in plain if parents[passes] is None]
    tree = tuple(rung for top in sorted(tops, key=len) for rung in _grow(top, plain, parents, 0))
    apart = (Rung(f"{entry.case.pipeline} → {entry.case.precision}", entry, plain.get(()), 0) for entry in layered)
    return (*tree, *_precision_rungs(entries, plain), *apart)


def _parent(passes: tuple[str, ...], known: dict[tuple[str, ...], Entry]) -> tuple[str, ...] | None:
    return next((passes[:n] for n in range(len(passes) - 1, -1, -1) if passes[:n] in known), None)


def _grow(
    passes: tuple[str, ...],
    plain: dict[tuple[str, ...], Entry],
    parents: dict[tuple[str, ...], tuple[str, ...] | None],
    depth: int,
) -> Iterator[Rung]:
    parent = parents[passes]
    added = passes if parent is None else passes[len(parent) :]
    step = " ".join(f"+ {name}" for name in added) or "plain export, fp32"
    yield Rung(step, plain[passes], None if parent is None else plain[parent], depth)
    children = [other for other in plain if parents[other] == passes]
    for child in sorted(children, key=lambda c: -_height(c, parents)):
        yield from _grow(child, plain, parents, depth + 1)


def _height(passes: tuple[str, ...], parents: dict[tuple[str, ...], tuple[str, ...] | None]) -> int:
    return max(len(other) for other in parents if other[: len(passes)] == passes)


def _precision_rungs(entries: Sequence[Entry], plain: dict[tuple[str, ...], Entry]) -> Iterator[Rung]:
    for precision in dict.fromkeys(entry.case.precision for entry in entries if entry.case.precision != PLAIN):
        tried = [entry for entry in entries if entry.case.precision == precision]
        entry = max(tried, key=lambda e: max(len(e.record.steps), len(e.case.passes)))
        below = plain.get(entry.case.passes)
        yield Rung(f"{entry.case.pipeline} → {precision}", entry, below, 0)


def _blocks(run: Run) -> tuple[Block, ...]:
    ladders = []
    for place, entries in run.places().items():
        if any(entry.timing for entry in entries):
            names = run.place_names(place)
            ladder_of = rungs(entries)
            ladders.append(Option(names, (_table(run, ladder_of, ", ".join(names)), *_doubts(ladder_of))))
    if not ladders:
        return ()
    how = Prose(
        "Every case took turns with the plain export (ABBA blocks); its speedup is the median of the paired ratios "
        "with a 95 % bootstrap interval. 'Step alone' compares a row with its parent, the row it builds on, both "
        "through that common baseline. Where an interval holds 1, or the effect is inside the noise, nothing is claimed."
    )
    if len(ladders) <= STACKED:
        return (how, *(block for option in ladders for block in option.blocks))
    labels = ("variant", "backend", "batch", "environment")[: len(ladders[0].names)]
    return how, Chooser(labels, tuple(ladders))


def _notes(entry: Entry) -> tuple[str, ...]:
    outcome = entry.record.outcome
    return outcome.notes if isinstance(outcome, Measured) else ()


def _doubts(ladder: tuple[Rung, ...]) -> tuple[Prose, ...]:
    notes = dict.fromkeys(note for rung in ladder for note in _notes(rung.entry))
    return (Prose("† " + "; ".join(notes)),) if notes else ()


def _table(run: Run, ladder: tuple[Rung, ...], title: str) -> Table:
    columns = (
        Column("step"),
        Column("median", "µs", "number"),
        Column("95 % interval", "µs", "number"),
        Column("speedup", "", "number", hint="against the plain export that took turns with this case"),
        Column("95 % interval", "", "number"),
        Column("from 1", kind="bar", hint="the bar begins at 1: no difference; the line is the 95 % interval"),
        Column("against first row", hint="claimed only outside the interval and the noise"),
        Column("step alone", "", "number", hint="against the row that it builds on"),
        Column("95 % interval", "", "number"),
        Column("against parent", hint="the row that it builds on"),
    )
    return Table(columns, tuple(_row(run, rung) for rung in ladder), title)


def _row(run: Run, rung: Rung) -> tuple[Cell, ...]:
    entry, timing = rung.entry, rung.entry.timing
    outcome = entry.record.outcome
    notes = _notes(entry)
    step = Cell("\u2003" * rung.depth + rung.step + (" †" if notes else ""), hint="\n".join((entry.case.id, *notes)))
    if timing is None:
        why = Cell(badge(outcome).text + ": no speed", tone="warn", hint=entry.reason)
        return step, *(MISSING,) * 5, why, *(MISSING,) * 3
    return (
        step,
        Cell(microseconds(timing.median_us.value), timing.median_us.value),
        Cell(range_us(timing.median_us), timing.median_us.half_width),
        Cell(times(timing.speedup.value), timing.speedup.value),
        Cell(range_times(timing.speedup), timing.speedup.half_width),
        ratio_bar(timing.speedup, run.precisions.index(entry.case.precision)),
        _first_row_claim(run, entry, timing.speedup, timing.pairs).word,
        *_step_cells(run, rung, timing.pairs),
    )


def _first_row_claim(run: Run, entry: Entry, speedup: Estimate, pairs: int) -> Claim:
    noise = run.noise_at(entry.place)
    if entry.is_plain:
        return Claim("itself" if noise is None else f"noise ±{noise:.2%}", "muted")
    return claim(speedup, pairs, noise)


def _step_cells(run: Run, rung: Rung, pairs: int) -> tuple[Cell, Cell, Cell]:
    gained = step_gain(rung.entry, rung.below) if rung.below else None
    if gained is None or rung.below is None or rung.below.timing is None:
        unknown = "that row has no speed" if rung.below else ""
        return MISSING, MISSING, Cell(unknown or "–", tone="muted")
    said = claim(gained, min(pairs, rung.below.timing.pairs), run.noise_at(rung.entry.place))
    return Cell(times(gained.value), gained.value), Cell(range_times(gained), gained.half_width), said.word


ladder = Section(20, "Optimisation ladder", _blocks, "No case was timed, so there is no ladder to show.")
