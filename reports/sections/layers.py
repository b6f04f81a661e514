"""Where the time of a case goes, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.blocks import MISSING, Axis, Bar, Block, Cell, Chart, Chooser, Column, Drawn, Option, Prose, Table, Trace
from reports.layers.layer import GROUPS, Layer
from reports.run import Run
from reports.section import Section
from reports.wording import count, microseconds, number

CHARTED = 20
ROWS = 20_000
"""Layer rows in one page: a case keeps its longest ones when the cases together have more."""


@dataclass(frozen=True, slots=True)
class GroupShare:
    """The part of a case's layer time that one group takes: fraction 0..1, microseconds a run, number of layers."""

    group: str
    share: float
    mean_us: float
    layers: int


def group_shares(layers: Sequence[Layer]) -> tuple[GroupShare, ...]:
    """Every group that has a layer, largest first; a group unknown to GROUPS counts as it calls itself."""
    found = []
    for group in dict.fromkeys(layer.group for layer in layers):
        members = [layer for layer in layers if layer.group == group]
        share, mean_us = sum(layer.share for layer in members), sum(layer.mean_us or 0.0 for layer in members)
        found.append(GroupShare(group, share, mean_us, len(members)))
    return tuple(sorted(found, key=lambda g: -g.share))


def _blocks(run: Run) -> tuple[Block, ...]:
    profiled = [entry for entry in run.entries if entry.record.layers]
    if not profiled:
        return ()
    most = max(ROWS // len(profiled), CHARTED)
    options = []
    for entry in profiled:
        case = entry.case
        names = (case.variant, case.pipeline, case.precision, str(case.batch), case.backend)
        options.append(Option(names, _of_case(entry.record.layers, most)))
    how = Prose(
        "Profiled in a run of its own: the profiler changes what it times, so the sum of the layers is not the "
        "latency and the shares are shares of that sum."
    )
    return how, Chooser(("variant", "passes", "precision", "batch", "backend"), tuple(options))


def _of_case(layers: Sequence[Layer], most: int) -> tuple[Drawn, ...]:
    ranked = sorted(layers, key=lambda layer: layer.rank)
    left = ranked[most:]
    rest = f"{count(len(left), 'layer')} of {sum(layer.share for layer in left):.1%} together are left out here"
    table = Table(_columns(), tuple(_row(layer) for layer in ranked[:most]), search=len(ranked) > CHARTED)
    return _groups(ranked), _longest(ranked), table, *((Prose(rest, "warn"),) if left else ())


def _groups(layers: Sequence[Layer]) -> Chart:
    shares = group_shares(layers)
    trace = Trace(
        "bars",
        "share",
        x=tuple(share.share * 100 for share in shares),
        names=tuple(share.group for share in shares),
        hover=tuple(_group_hover(share) for share in shares),
        colours=tuple(_colour(share.group) for share in shares),
    )
    return Chart("By group", (trace,), Axis("share of the layers' time, %"), (Axis(""),), legend=False)


def _group_hover(share: GroupShare) -> tuple[str, ...]:
    return (
        share.group,
        f"{share.share:.1%}, {microseconds(share.mean_us)} µs a run",
        count(share.layers, "layer"),
    )


def _longest(ranked: Sequence[Layer]) -> Chart:
    shown = ranked[:CHARTED]
    trace = Trace(
        "bars",
        "mean time",
        x=tuple(layer.mean_us or 0.0 for layer in shown),
        names=tuple(layer.name for layer in shown),
        hover=tuple((layer.name, f"{layer.type}, {layer.group}", f"{layer.share:.1%}") for layer in shown),
        colours=tuple(_colour(layer.group) for layer in shown),
    )
    title = f"The {len(shown)} longest of {len(ranked):,} layers" if len(ranked) > len(shown) else "All layers"
    return Chart(title, (trace,), Axis("mean time a run, µs"), (Axis(""),), legend=False)


def _colour(group: str) -> int:
    return GROUPS.index(group) + 1 if group in GROUPS[:-1] else 0


def _columns() -> tuple[Column, ...]:
    return (
        Column("rank", "", "number"),
        Column("layer"),
        Column("type", filter=True),
        Column("group", filter=True),
        Column("mean", "µs a run", "number"),
        Column("median", "µs a run", "number"),
        Column("calls", "a run", "number"),
        Column("share", "%", "number"),
        Column("of all", kind="bar", reference=0),
        Column("cumulative", "%", "number"),
    )


def _row(layer: Layer) -> tuple[Cell, ...]:
    return (
        Cell(str(layer.rank), layer.rank),
        Cell(layer.name),
        Cell(layer.type),
        Cell(layer.group),
        _time(layer.mean_us),
        _time(layer.median_us),
        number(layer.calls, 0),
        number(layer.share * 100, 2),
        Cell("", layer.share, bar=Bar(layer.share, colour=_colour(layer.group))),
        number(layer.cumulative * 100, 1),
    )


def _time(value_us: float | None) -> Cell:
    return MISSING if value_us is None else Cell(microseconds(value_us), value_us)


layers = Section(60, "Layers", _blocks, "No case was profiled.")
