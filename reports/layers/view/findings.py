"""Findings as blocks."""

from __future__ import annotations

from collections.abc import Sequence

from reports.blocks import MISSING, Block, Cell, Column, Prose, Table
from reports.layers.finding import Finding
from reports.layers.view.text import time_us
from reports.wording import number

COLUMNS = (
    Column("what", kind="lines"),
    Column("concerns", "µs a run", "number", hint="measured time of the layers concerned: the most that the remedy could save"),
    Column("share", "%", "number"),
    Column("evidence", kind="lines"),
    Column("what to do", kind="lines"),
)


def stand_out(found: Sequence[Finding]) -> tuple[Block, ...]:
    """A row a finding, those that concern the most time first."""
    if not found:
        return (Prose("Nothing stands out: no finding fired."),)
    return (Table(COLUMNS, tuple(_row(one) for one in found)),)


def _row(one: Finding) -> tuple[Cell, ...]:
    return (
        Cell(one.title),
        MISSING if one.cost_us is None else Cell(time_us(one.cost_us), one.cost_us),
        MISSING if one.share is None else number(one.share * 100, 1),
        Cell("\n".join(one.evidence)),
        Cell(one.remedy),
    )
