"""Findings as blocks."""

from __future__ import annotations

from collections.abc import Sequence

from reports.blocks import Block, Item, Items, Prose
from reports.layers.finding import Finding
from reports.layers.view.text import time_us


def stand_out(found: Sequence[Finding]) -> tuple[Block, ...]:
    """An item a finding, those that concern the most time first."""
    if not found:
        return (Prose("Nothing stands out: no finding fired."),)
    return (Items(tuple(Item(one.title, weight(one), one.evidence, one.remedy) for one in found)),)


def weight(one: Finding) -> str:
    """The measured time that it concerns, which is the most that the remedy could save."""
    if one.cost_us is None:
        return ""
    return f"concerns {time_us(one.cost_us)} µs a run" + (f", {one.share:.1%}" if one.share is not None else "")
