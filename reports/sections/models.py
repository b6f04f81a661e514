"""What each model is before any pass: its size, and what one inference computes and moves."""

from __future__ import annotations

from reports.blocks import Block, Cell, Column, Prose, Table
from reports.record import ModelFacts
from reports.run import Run
from reports.section import Section
from reports.wording import number

COLUMNS = (
    Column("variant", filter=True),
    Column("shape"),
    Column("opset", "", "number"),
    Column("nodes", "", "number"),
    Column("tensors", "", "number"),
    Column("parameters", "M", "number", hint="of the PyTorch module"),
    Column("initializers", "MB", "number", hint="initializers and Constant nodes of the export"),
    Column("operations", "G", "number", hint="a multiply-add counts two"),
    Column("bytes", "MB", "number", hint="read and written when nothing is fused"),
    Column("intensity", "operations a byte", "number"),
    Column("unknown", "nodes", "number", hint="their cost does not follow from the shapes: not in the sums"),
)


def rows(run: Run) -> tuple[tuple[Cell, ...], ...]:
    """One row a variant and shape, a cell a column of COLUMNS."""
    found = {(entry.case.variant, model.sizes): model for entry in run.entries if (model := entry.record.model)}
    return tuple(_row(variant, model) for (variant, _), model in sorted(found.items()))


def _row(variant: str, model: ModelFacts) -> tuple[Cell, ...]:
    exact = f"{model.operations:,} operations, {model.bytes_moved:,} bytes"
    return (
        Cell(variant),
        Cell(model.sizes),
        number(model.opset, 0),
        number(model.size.nodes, 0),
        number(model.size.tensors, 0),
        number(model.parameters / 1e6, 3, hint=f"{model.parameters:,}") if model.parameters else Cell("–"),
        number(model.size.parameter_bytes / 1e6, 3),
        number(model.operations / 1e9, 4, hint=exact),
        number(model.bytes_moved / 1e6, 3, hint=exact),
        number(model.operations / model.bytes_moved if model.bytes_moved else None, 1),
        number(model.unknown, 0),
    )


def _blocks(run: Run) -> tuple[Block, ...]:
    shown = rows(run)
    if not shown:
        return ()
    how = Prose("The plain export, one inference at the shape that was timed. Bytes are an upper bound: nothing is taken as fused.")
    return how, Table(COLUMNS, shown, search=len(shown) > 12).without_constant("unknown")


models = Section(35, "Models", _blocks, "No record says what its model is made of.")
