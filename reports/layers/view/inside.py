"""Time by ONNX node and module, also inside fused layers, as tables."""

from __future__ import annotations

from collections.abc import Sequence

from reports.blocks import MISSING, Bar, Beside, Cell, Column, Drawn, Prose, Table
from reports.layers.attribution import Attribution, NodeTime, Total
from reports.layers.view.ranked import CHARTED, colour
from reports.layers.view.text import WIDTH, time_us
from reports.wording import count, number, shorten

PIECES = 12
"""Layers of a node that a hover lists."""

TOTALS = (
    Column("", kind="name"),
    Column("time", "µs a run", "number"),
    Column("estimated", "%", "number", hint="the part of this time that is divided among several inside one layer"),
    Column("share", "%", "number"),
    Column("of all", kind="bar", reference=0),
    Column("nodes", "", "number"),
)
NODES = (
    Column("ONNX node", kind="name"),
    Column("operator", filter=True),
    Column("part", filter=True),
    Column("module", kind="name"),
    Column("time", "µs a run", "number"),
    Column("estimated", "%", "number", hint="the part of this time that is divided among several inside one layer"),
    Column("share", "%", "number"),
    Column("of all", kind="bar", reference=0),
    Column("layers", "", "number"),
    Column("their total", "µs a run", "number", hint="measured, of all layers that the node is in"),
)


def blocks(found: Attribution, most: int) -> tuple[Drawn, ...]:
    """Parts and modules side by side, and a row a node."""
    tables = (_totals("By part of the model", found.parts()), _totals("By module, repeated blocks together", found.modules(fold=True)))
    rows = tuple(_row(row) for row in found.nodes[:most])
    table = Table(NODES, rows, "By ONNX node", search=len(rows) > CHARTED).without_empty("operator", "module", "part")
    left = len(found.nodes) - len(rows)
    rest = (Prose(f"{count(left, 'node')} of less time are left out here", "warn"),) if left else ()
    notes = tuple(Prose(f"{note[0].upper()}{note[1:].rstrip('.')}.", "warn") for note in found.notes)
    return (*notes, Beside(tables), table, *rest)


def _totals(title: str, totals: Sequence[Total]) -> Table:
    return Table(TOTALS, tuple(_total(total) for total in totals), title, search=len(totals) > 4 * CHARTED)


def _total(total: Total) -> tuple[Cell, ...]:
    return (
        Cell(total.name or "(none)"),
        Cell(time_us(total.time_us), total.time_us),
        _estimated(total.estimated_us, total.time_us),
        number(total.share * 100, 1),
        Cell("", total.share, bar=Bar(total.share, colour=colour(total.name))),
        number(total.nodes, 0),
    )


def _row(row: NodeTime) -> tuple[Cell, ...]:
    pieces = [f"{time_us(p.time_us)} of {time_us(p.layer_us)} µs, rank {p.rank}: {shorten(p.layer, WIDTH)}" for p in row.pieces[:PIECES]]
    layers = sum({piece.rank: piece.layer_us for piece in row.pieces}.values())
    return (
        Cell(row.name, hint="\n".join((row.name, *pieces))),
        Cell(row.type),
        Cell(row.part),
        Cell(row.module),
        Cell(time_us(row.time_us), row.time_us),
        _estimated(row.estimated_us, row.time_us),
        number(row.share * 100, 2),
        Cell("", row.share, bar=Bar(row.share, colour=colour(row.group))),
        number(len({piece.rank for piece in row.pieces}), 0, hint="\n".join(pieces)),
        Cell(time_us(layers), layers),
    )


def _estimated(estimated: float, time: float) -> Cell:
    return Cell(f"{estimated / time:.0%}".rstrip("%"), estimated / time) if time else MISSING
