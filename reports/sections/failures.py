"""Everything that has no speed, and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from reports.blocks import Block, Cell, Column, Prose, Table
from reports.record import Built, Failed, Inaccurate, Measured, Rejected, Unsupported
from reports.run import Entry, Run
from reports.section import Section
from reports.wording import OUTCOMES, badge, message

GRAVITY = (Failed, Inaccurate, Rejected, Unsupported)


@dataclass(frozen=True, slots=True)
class Trouble:
    """One case that did not work: the stage where that showed, and the whole reason."""

    entry: Entry
    stage: str
    reason: str


def troubles(run: Run) -> tuple[Trouble, ...]:
    """Gravest kind first, otherwise as recorded."""
    found = [entry for entry in run.entries if not isinstance(entry.record.outcome, (Measured, Built))]
    found.sort(key=lambda entry: GRAVITY.index(type(entry.record.outcome)))
    return tuple(Trouble(entry, _stage(entry), message(entry.reason)) for entry in found)


def _stage(entry: Entry) -> str:
    match entry.record.outcome:
        case Failed(stage=stage):
            return stage
        case Inaccurate():
            return "check"
        case Rejected():
            return "build"
    return "plan"


def _blocks(run: Run) -> tuple[Block, ...]:
    found = troubles(run)
    if not found:
        return ()
    counts = Counter(type(trouble.entry.record.outcome) for trouble in found)
    said = ", ".join(f"{counts[kind]:,} {OUTCOMES[kind][0]}" for kind in GRAVITY if counts[kind])
    summary = Prose(f"{len(found):,} of {len(run.entries):,} cases: {said}.")
    columns = (
        Column("case", filter=False),
        Column("outcome", kind="badge", filter=True),
        Column("stage", filter=True),
        Column("reason", kind="message"),
    )
    rows = tuple((Cell(one.entry.case.id), badge(one.entry.record.outcome), Cell(one.stage), Cell(one.reason)) for one in found)
    return summary, Table(columns, rows, search=len(found) > 6)


failures = Section(80, "What did not work", _blocks, "Nothing: every case was measured, or built where none can run.")
