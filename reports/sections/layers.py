"""Where the time of a case goes, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

from reports.blocks import Beside, Block, Chooser, Drawn, Option, Prose
from reports.layers.layer import Layer
from reports.layers.view.ranked import CHARTED, curve, groups, longest, table
from reports.layers.view.tree import tree
from reports.run import Run
from reports.section import Section

ROWS = 20_000
"""Layer rows in one page: a case keeps its longest ones when the cases together have more."""
MARKS = 2_000
"""Dots and areas of one page in each picture; of these, too, a case keeps its longest."""


def blocks(layers: Sequence[Layer], cases: int = 1) -> tuple[Drawn, ...]:
    """Groups, curve, areas, the longest, and all in a table, for one of `cases` in a page."""
    ranked = sorted(layers, key=lambda layer: layer.rank)
    rows, marks = (max(most // cases, CHARTED) for most in (ROWS, MARKS))
    return Beside((groups(ranked), curve(ranked, marks))), tree(ranked, marks), longest(ranked), *table(ranked, rows)


def _blocks(run: Run) -> tuple[Block, ...]:
    profiled = [entry for entry in run.entries if entry.record.layers]
    if not profiled:
        return ()
    options = []
    for entry in profiled:
        case = entry.case
        names = (case.variant, case.pipeline, case.precision, str(case.batch), case.backend)
        options.append(Option(names, blocks(entry.record.layers, len(profiled))))
    how = Prose(
        "Profiled in a run of its own: the profiler changes what it times, so the sum of the layers is not the "
        "latency and the shares are shares of that sum."
    )
    return how, Chooser(("variant", "passes", "precision", "batch", "backend"), tuple(options))


layers = Section(60, "Layers", _blocks, "No case was profiled.")
