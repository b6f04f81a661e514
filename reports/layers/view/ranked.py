"""Ranked layers as pictures and a table."""

from __future__ import annotations

from collections.abc import Sequence

from reports.blocks import MISSING, Axis, Bar, Cell, Chart, Column, Prose, Table, Trace
from reports.layers.layer import GROUPS, Layer
from reports.layers.tally import Share, tally
from reports.layers.view.text import formats, lines, precision, size, time_us
from reports.wording import count, number

CHARTED = 20

COLUMNS = (
    Column("rank", "", "number"),
    Column("layer", kind="name"),
    Column("type", filter=True),
    Column("group", filter=True),
    Column("mean", "µs a run", "number"),
    Column("median", "µs a run", "number"),
    Column("calls", "a run", "number"),
    Column("share", "%", "number"),
    Column("of all", kind="bar", reference=0),
    Column("cumulative", "%", "number"),
    Column("precision", filter=True, hint="of the inputs, and of the outputs where they differ"),
    Column("read", "", "number", hint="bytes a run"),
    Column("written", "", "number", hint="bytes a run"),
    Column("intensity", "op/B", "number", hint="operations a byte moved, where shapes give them"),
    Column("module", kind="name"),
    Column("ONNX nodes", "", "number"),
    Column("format", kind="name", hint="memory layout of the outputs"),
    Column("stream", "", "number", filter=True),
    Column("order", "", "number", hint="place in the order of execution"),
)
SPARSE = ("median", "precision", "read", "written", "intensity", "module", "ONNX nodes", "format", "stream")
"""Columns that many sources say nothing of."""


def colour(group: str) -> int:
    """The group's place in the page's palette; what is in no group is grey."""
    return GROUPS.index(group) + 1 if group in GROUPS[:-1] else 0


def groups(layers: Sequence[Layer]) -> Chart:
    """One bar a group, largest first."""
    shares = tally(layers, lambda layer: layer.group)
    trace = Trace(
        "bars",
        "share",
        x=tuple(share.share * 100 for share in shares),
        names=tuple(share.name for share in shares),
        hover=tuple(_of_group(share) for share in shares),
        colours=tuple(colour(share.name) for share in shares),
    )
    return Chart("By group", (trace,), Axis("share of the layers' time, %"), (Axis(""),), legend=False)


def _of_group(share: Share) -> tuple[str, ...]:
    return share.name, f"{share.share:.1%}, {time_us(share.mean_us)} µs a run", count(share.layers, "layer")


def longest(ranked: Sequence[Layer]) -> Chart:
    """A bar a layer, for those that take longest."""
    shown = ranked[:CHARTED]
    trace = Trace(
        "bars",
        "mean time",
        x=tuple(layer.mean_us or 0.0 for layer in shown),
        names=tuple(layer.name for layer in shown),
        hover=tuple(lines(layer, len(ranked)) for layer in shown),
        colours=tuple(colour(layer.group) for layer in shown),
    )
    title = f"The {len(shown)} longest of {len(ranked):,} layers" if len(ranked) > len(shown) else "All layers"
    return Chart(title, (trace,), Axis("mean time a run, µs"), (Axis(""),), legend=False)


def curve(ranked: Sequence[Layer], most: int) -> Chart:
    """How much of the time the first so many layers take; a dot a layer."""
    shown = [layer for layer in ranked[:most] if layer.share]
    trace = Trace(
        "curve",
        "cumulative",
        x=tuple(float(layer.rank) for layer in shown),
        y=tuple(layer.cumulative * 100 for layer in shown),
        hover=tuple(lines(layer, len(ranked)) for layer in shown),
        colours=tuple(colour(layer.group) for layer in shown),
    )
    return Chart("Cumulative", (trace,), Axis("layers, the longest first"), (Axis("share of the layers' time, %"),), legend=False)


def table(ranked: Sequence[Layer], most: int) -> tuple[Table | Prose, ...]:
    """One row a layer, and a sentence on those beyond `most`."""
    full = Table(COLUMNS, tuple(_row(layer, len(ranked)) for layer in ranked[:most]), search=len(ranked) > CHARTED, frozen=2)
    shown = full.without_empty(*SPARSE).without_constant("order")
    left = ranked[most:]
    rest = f"{count(len(left), 'layer')} of {sum(layer.share for layer in left):.1%} together are left out here"
    return (shown, Prose(rest, "warn")) if left else (shown,)


def _row(layer: Layer, total: int) -> tuple[Cell, ...]:
    hint = "\n".join(lines(layer, total))
    return (
        Cell(str(layer.rank), layer.rank),
        Cell(layer.name, hint=hint),
        Cell(layer.type),
        Cell(layer.group),
        _time(layer.mean_us),
        _time(layer.median_us),
        number(layer.calls, 0),
        number(layer.share * 100, 2),
        Cell("", layer.share, bar=Bar(layer.share, colour=colour(layer.group))),
        number(layer.cumulative * 100, 1),
        Cell(precision(layer)),
        _or_empty(layer.bytes_read, size(layer.bytes_read)),
        _or_empty(layer.bytes_written, size(layer.bytes_written)),
        _or_empty(layer.intensity, f"{layer.intensity or 0:.3g}"),
        Cell(layer.module),
        _or_empty(len(layer.nodes) or None, f"{len(layer.nodes):,}", "\n".join(layer.nodes[:40])),
        Cell(formats(layer.outputs)),
        _or_empty(layer.stream, str(layer.stream)),
        Cell(str(layer.position + 1), layer.position),
    )


def _time(value: float | None) -> Cell:
    return MISSING if value is None else Cell(time_us(value), value)


def _or_empty(value: float | None, text: str, hint: str = "") -> Cell:
    return Cell("") if value is None else Cell(text, value, hint=hint)
