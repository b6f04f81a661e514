"""Every case with everything that was measured of it."""

from __future__ import annotations

from reports.blocks import MISSING, Block, Cell, Column, Table
from reports.record import Measured
from reports.run import Entry, Run
from reports.section import Section
from reports.statistics import TAIL_SAMPLES
from reports.wording import (
    FEWEST_PAIRS,
    badge,
    decibel,
    megabytes,
    message,
    microseconds,
    number,
    range_times,
    range_us,
    score_cells,
    shorten,
    times,
)

COLUMNS = (
    Column("variant", filter=True),
    Column("passes", filter=True),
    Column("precision", filter=True),
    Column("batch", "", "number", filter=True),
    Column("backend", filter=True),
    Column("outcome", kind="badge", filter=True),
    Column("median", "µs", "number"),
    Column("95 % interval", "µs", "number", hint="sorts by the interval's half width over the median"),
    Column("p99", "µs", "number", hint=f"needs {TAIL_SAMPLES} samples to be bounded with 95 %"),
    Column("throughput", "inputs/s", "number", hint="batch over the median latency"),
    Column("speedup", "", "number", hint="against the plain export that took turns with this case"),
    Column("95 % interval", "", "number"),
    Column("SNR", "dB", "number", hint="of the worst output against the reference"),
    Column("agreement", "%", "number", hint="inputs on which the decision is the reference's"),
    Column("task metric", "", "number"),
    Column("its change", "", "number", hint="against the reference; negative is worse"),
    Column("build", "s", "number"),
    Column("plan or model", "MB", "number"),
    Column("notes"),
)


def row(entry: Entry) -> tuple[Cell, ...]:
    """One case as the matrix shows it, a cell a column of COLUMNS; the id is the first cell's hint."""
    case = entry.case
    return (
        Cell(case.variant, hint=case.id),
        Cell(case.pipeline, hint=case.id),
        Cell(case.precision),
        Cell(str(case.batch), case.batch),
        Cell(case.backend),
        badge(entry.record.outcome),
        *_speed(entry),
        *_accuracy(entry),
        *_build(entry),
        _notes(entry),
    )


def _speed(entry: Entry) -> tuple[Cell, ...]:
    timing = entry.timing
    if timing is None:
        return (MISSING,) * 6
    median, ratio = timing.median_us, timing.speedup
    small = f"{timing.samples} samples; a p99 needs {TAIL_SAMPLES}"
    p99 = timing.p99_us
    throughput = entry.case.batch / median.value * 1e6
    return (
        Cell(microseconds(median.value), median.value, hint=f"{timing.samples:,} samples in {timing.pairs} blocks"),
        Cell(range_us(median), median.half_width, hint=f"±{median.half_width:.2%}"),
        Cell("n too small", tone="muted", hint=small) if p99 is None else Cell(microseconds(p99), p99),
        Cell(microseconds(throughput), throughput),
        Cell(times(ratio.value), ratio.value),
        Cell(range_times(ratio), ratio.half_width),
    )


def _accuracy(entry: Entry) -> tuple[Cell, ...]:
    accuracy = entry.record.accuracy
    if accuracy is None:
        return (MISSING,) * 4
    return (
        Cell(decibel(accuracy.worst_snr_db), accuracy.worst_snr_db),
        number(accuracy.agreement * 100, 2),
        *score_cells(accuracy),
    )


def _build(entry: Entry) -> tuple[Cell, Cell]:
    build = entry.record.build
    return (number(build.seconds), megabytes(build.bytes)) if build else (MISSING, MISSING)


def _notes(entry: Entry) -> Cell:
    outcome = entry.record.outcome
    if not isinstance(outcome, Measured):
        whole = message(f"{entry.stage}: {entry.reason}" if entry.stage else entry.reason)
        return Cell(shorten(whole), hint=whole)
    few = entry.timing is not None and entry.timing.pairs < FEWEST_PAIRS
    notes = outcome.notes + (("too few blocks for a 95 % interval",) if few else ())
    return Cell(", ".join(notes), tone="warn")


def _blocks(run: Run) -> tuple[Block, ...]:
    if not run.entries:
        return ()
    return (Table(COLUMNS, tuple(row(entry) for entry in run.entries), search=True, frozen=4),)


matrix = Section(50, "Matrix", _blocks, "No case was recorded.")
