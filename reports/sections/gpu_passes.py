"""Graph passes through ONNX Runtime's CUDA provider, as they were measured on a GPU and committed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from common.errors import UserError
from reports.blocks import MISSING, Block, Cell, Column, Prose, Table
from reports.gpu_passes import Duel, GpuCase, Worth, read
from reports.run import Run
from reports.section import Section
from reports.statistics import Estimate
from reports.wording import number, range_times, ratio_bar, times

MEASURED = Path(__file__).resolve().parent.parent.parent / "docs" / "measured"
FILE = "passes-h200.json"


def _blocks(_: Run) -> tuple[Block, ...]:
    if not (MEASURED / FILE).exists():
        return ()
    try:
        found = read(MEASURED / FILE)
    except UserError as error:
        return (Prose(str(error), "bad"),)
    told = (
        f"Measured on {found.label}, not in this run (docs/measured/{FILE}): the host's clock around one synchronous run, inputs and "
        "outputs on the GPU. Intervals are 95 %, paired with the raw export in fp32, which took turns with each case."
    )
    tables = (_cases(found.cases), _duels(found.duels), _worth(found.worth))
    return Prose(told), *(table for table in tables if table.rows)


def _duels(duels: Sequence[Duel]) -> Table:
    columns = (
        Column("plan", kind="name"),
        Column("runs", "ms", "number"),
        Column("against", kind="name"),
        Column("runs in", "ms", "number"),
        Column("speedup", "", "number"),
        Column("95 % interval", "", "number"),
    )
    rows = (
        (
            Cell(duel.one.id),
            number(duel.one_us.value / 1e3, 3),
            Cell(duel.other.id),
            number(duel.other_us.value / 1e3, 3),
            *_ratio(duel.speedup),
        )
        for duel in duels
    )
    return Table(columns, tuple(rows), "Taking turns")


def _cases(cases: Sequence[GpuCase]) -> Table:
    columns = (
        Column("model", filter=True),
        Column("precision", filter=True),
        Column("batch", "", "number", filter=True),
        Column("passes", kind="name"),
        Column("runs as", filter=True, hint="hover for why it is not captured, and for what is left to the CPU"),
        Column("nodes", "of the plan", "number"),
        Column("latency", "ms", "number"),
        Column("speedup", "over the raw export, same precision", "number"),
        Column("95 % interval", "", "number"),
        Column("from 1", kind="bar"),
        Column("SNR", "dB", "number"),
        Column("why no speed", kind="message"),
    )
    return Table(columns, tuple(_case(case) for case in cases), "Cases", search=True).without_empty("why no speed")


def _case(one: GpuCase) -> tuple[Cell, ...]:
    case = one.case
    how = "CUDA graph" if one.captured else "launches" if one.graph else ""
    return (
        Cell(case.variant),
        Cell(case.precision),
        Cell(str(case.batch), case.batch),
        Cell(case.pipeline),
        Cell(how, hint="; ".join(text for text in (one.graph, one.on_cpu) if text and text != "captured")),
        number(one.nodes or None, 0),
        number(one.median_us.value / 1e3 if one.median_us else None, 3),
        *_ratio(one.over_raw),
        ratio_bar(one.over_raw) if one.over_raw else MISSING,
        number(one.snr_db if one.median_us else None, 0),
        Cell(one.reason),
    )


def _worth(worth: Sequence[Worth]) -> Table:
    columns = (
        Column("model", filter=True),
        Column("precision", filter=True),
        Column("batch", "", "number", filter=True),
        Column("pass", filter=True),
        Column("alone", "on the raw export", "number"),
        Column("95 % interval, alone", "", "number"),
        Column("in the whole", "over the whole without it", "number"),
        Column("95 % interval, in the whole", "", "number"),
    )
    rows = (
        (
            Cell(one.of.variant),
            Cell(one.of.precision),
            Cell(str(one.of.batch), one.of.batch),
            Cell(one.name, hint=f"the whole: {one.of.pipeline}"),
            *_ratio(one.alone),
            *_ratio(one.inside),
        )
        for one in worth
    )
    return Table(columns, tuple(rows), "What each pass is worth")


def _ratio(found: Estimate | None) -> tuple[Cell, Cell]:
    if found is None:
        return MISSING, MISSING
    return Cell(times(found.value), found.value), Cell(range_times(found), found.half_width)


gpu_passes = Section(76, "Passes on a GPU", _blocks, "No measurement of passes on a GPU is committed.")
