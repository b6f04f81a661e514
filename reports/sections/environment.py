"""Where this was measured, how long each phase took, what came from the cache, and what exactly was run."""

from __future__ import annotations

from dataclasses import dataclass

from reports.blocks import MISSING, Block, Cell, Column, Facts, Table
from reports.run import Entry, Run
from reports.section import Section
from reports.wording import number

SHORT = 12
"""Hex digits of a sha256 that are shown; hovering shows all."""


@dataclass(frozen=True, slots=True)
class PhaseTotal:
    """All cases' share of one phase: how often it was done and for how many seconds, how often the cache had it."""

    name: str
    done: int
    seconds: float
    cached: int


def phase_totals(run: Run) -> tuple[PhaseTotal, ...]:
    """Every phase in the order first met."""
    phases = [phase for entry in run.entries for phase in entry.record.phases]
    found = []
    for name in dict.fromkeys(phase.name for phase in phases):
        own = [phase for phase in phases if phase.name == name]
        done = [phase for phase in own if not phase.cached]
        found.append(PhaseTotal(name, len(done), sum(phase.seconds for phase in done), len(own) - len(done)))
    return tuple(found)


def _blocks(run: Run) -> tuple[Block, ...]:
    if not run.entries:
        return ()
    facts = tuple(Facts(f"Environment {environment.key[:SHORT]}", environment.facts) for environment in run.environments)
    return (*facts, *_phases(run), *_digests(run))


def _phases(run: Run) -> tuple[Table, ...]:
    totals = phase_totals(run)
    if not totals:
        return ()
    columns = (
        Column("phase"),
        Column("done", "times", "number"),
        Column("took", "s", "number"),
        Column("from the cache", "times", "number"),
    )
    rows = tuple(
        (
            Cell(t.name),
            number(t.done, 0),
            number(t.seconds),
            Cell(f"{t.cached:,}", t.cached, "" if t.cached else "muted"),
        )
        for t in totals
    )
    names = tuple(total.name for total in totals)
    heads = (Column("case"), *(Column(name, "s", "number") for name in names))
    each = tuple(_phase_row(entry, names) for entry in run.entries if entry.record.phases)
    return Table(columns, rows, "Phases"), Table(heads, each, "Phases of each case", search=True, frozen=1)


def _phase_row(entry: Entry, names: tuple[str, ...]) -> tuple[Cell, ...]:
    own = {phase.name: phase for phase in entry.record.phases}
    cells = []
    for name in names:
        phase = own.get(name)
        if phase is None:
            cells.append(MISSING)
        elif phase.cached:
            cells.append(Cell("cached", 0.0, "muted", f"{phase.seconds:.3f} s to find it"))
        else:
            cells.append(number(phase.seconds))
    return Cell(entry.case.id), *cells


def _digests(run: Run) -> tuple[Table, ...]:
    shown = [entry for entry in run.entries if entry.record.digests]
    if not shown:
        return ()
    names = tuple(dict.fromkeys(name for entry in shown for name, _ in entry.record.digests))
    columns = (Column("case"), *(Column(name, "sha256") for name in names), Column("run"), Column("started", "UTC"))
    rows = []
    for entry in shown:
        own = dict(entry.record.digests)
        cells = [Cell(own[name][:SHORT], hint=own[name]) if name in own else MISSING for name in names]
        rows.append((Cell(entry.case.id), *cells, Cell(entry.record.run), Cell(entry.record.started)))
    return (Table(columns, tuple(rows), "What was run", search=True, frozen=1),)


environment = Section(100, "Environment", _blocks, "Nothing ran, so there is no environment to show.")
