"""What a section file declares: where it stands, what it is called, and how a run becomes its blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reports.blocks import Block
from reports.run import Run


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the report. Sections stand by `order`; `empty` is the sentence shown when `blocks` gives none."""

    order: int
    title: str
    blocks: Callable[[Run], tuple[Block, ...]]
    empty: str
