"""How far the outputs are from the PyTorch FP32 reference, over the whole test split."""

from __future__ import annotations

from reports.accuracy import Accuracy, OutputError, Spread
from reports.blocks import MISSING, Block, Cell, Column, Prose, Table
from reports.run import Entry, Run
from reports.section import Section
from reports.wording import badge, decibel, number, scientific, score_cells

_SPREAD = ("mean", "median", "p99", "max")

COLUMNS = (
    Column("case"),
    Column("precision", filter=True),
    Column("output", filter=True),
    Column("outcome", kind="badge", filter=True),
    *(Column(f"absolute {name}", "", "number", hint="error in the output's own unit") for name in _SPREAD),
    *(Column(f"relative {name}", "", "number", hint="error over the reference's value") for name in _SPREAD),
    Column("1 − cosine", "", "number", hint="0 is the same direction"),
    Column("SNR", "dB", "number"),
    Column("NaN or infinite", "elements", "number"),
    Column("agreement", "%", "number"),
    Column("score", "", "number"),
    Column("change", "", "number", hint="against the reference; negative is worse"),
    Column("also", hint="further figures of the task against the reference; higher is better"),
)


def rows(entry: Entry) -> tuple[tuple[Cell, ...], ...]:
    """One row an output of a checked case, a cell a column of COLUMNS; none where nothing was checked."""
    accuracy = entry.record.accuracy
    return tuple(_row(entry, accuracy, output) for output in accuracy.outputs) if accuracy else ()


def _row(entry: Entry, accuracy: Accuracy, output: OutputError) -> tuple[Cell, ...]:
    bad = Cell(f"{output.non_finite:,}", output.non_finite, tone="bad" if output.non_finite else "muted")
    return (
        Cell(entry.case.id),
        Cell(entry.case.precision),
        Cell(output.output, hint=f"{output.elements:,} elements"),
        badge(entry.record.outcome),
        *_spread(output.absolute),
        *_spread(output.relative),
        scientific(1 - output.cosine),
        Cell(decibel(output.snr_db), output.snr_db),
        bad,
        number(accuracy.agreement * 100, 2),
        *score_cells(accuracy),
        Cell(", ".join(f"{name} {value:.4f}" for name, value in accuracy.measures)) if accuracy.measures else MISSING,
    )


def _spread(spread: Spread | None) -> tuple[Cell, ...]:
    if spread is None:
        return (MISSING,) * 4
    return tuple(scientific(value) for value in (spread.mean, spread.median, spread.p99, spread.max))


def _blocks(run: Run) -> tuple[Block, ...]:
    shown = tuple(row for entry in run.entries for row in rows(entry))
    if not shown:
        return ()
    checked = {entry.case.variant: a for entry in run.entries if (a := entry.record.accuracy)}
    metrics = "; ".join(f"{variant}: {_metric(a)}, over {a.inputs:,} inputs" for variant, a in checked.items())
    return Prose(f"{metrics}."), Table(COLUMNS, shown, search=True, frozen=1)


def _metric(accuracy: Accuracy) -> str:
    if accuracy.reference_score is None:
        return f"agreement is {accuracy.metric} (nothing is labelled, so there is no score)"
    return f"score is {accuracy.metric}, {accuracy.reference_score:.4f} for the reference"


accuracy = Section(90, "Accuracy", _blocks, "No case got as far as the comparison with the reference.")
