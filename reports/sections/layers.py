"""Where the time of a case goes, layer by layer."""

from __future__ import annotations

from reports.blocks import Block, Chooser, Option, Prose
from reports.layers.view.profile import blocks
from reports.run import Run
from reports.section import Section


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
