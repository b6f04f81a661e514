"""One profile as the blocks that the report's section and the page of its own share."""

from __future__ import annotations

from collections.abc import Sequence

from reports.blocks import Beside, Drawn
from reports.layers.layer import Layer
from reports.layers.view.ranked import CHARTED, curve, groups, longest, table
from reports.layers.view.tree import tree

ROWS = 20_000
"""Layer rows in one page: several profiles keep their longest ones when they have more together."""
MARKS = 2_000
"""Dots in one page; of these, too, a profile keeps its longest."""
AREAS = 300
"""Layers with an area of their own: smaller ones have no room for a word, and fitting the words of a thousand takes seconds."""


def blocks(layers: Sequence[Layer], profiles: int = 1) -> tuple[Drawn, ...]:
    """Groups, curve, areas, the longest, and all in a table, for one of several profiles in a page."""
    ranked = sorted(layers, key=lambda layer: layer.rank)
    rows, marks, areas = (max(most // profiles, CHARTED) for most in (ROWS, MARKS, AREAS))
    timed = any(layer.mean_us for layer in ranked)
    pictures = (Beside((groups(ranked), curve(ranked, marks))), tree(ranked, areas), longest(ranked)) if timed else ()
    return *pictures, *table(ranked, rows)
