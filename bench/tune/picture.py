"""A result as a page: the front, what is sensitive, and the line behind each point."""

from __future__ import annotations

from collections.abc import Sequence

from bench.tune.goal import SNR, Goal
from bench.tune.point import Point
from bench.tune.result import Result, Row
from bench.tune.sensitivity import Sensitivity, decibel
from reports.accuracy import MAX_SNR_DB
from reports.blocks import Axis, Block, Cell, Chart, Column, Facts, Prose, Table, Trace
from reports.html import Part, page
from reports.wording import microseconds, range_times, range_us, times

HIGHEST_DB = 160.0
"""Higher ratios are drawn here: float32 in another order is near 130 dB."""
SHOWN = 30


def tune_page(result: Result, goal: Goal) -> str:
    """The whole page as text."""
    request = result.request
    line = f"{request.variant}, batch {request.batch}, {request.backend}: the fastest within {request.goal}"
    parts = [
        Part("choice", "Choice", "The fastest within the accuracy asked for", _choice(result)),
        Part(
            "front",
            "Front",
            "Every timed combination; the line joins those that no other beats",
            (_cloud(result, goal), _rows(result.front)),
        ),
        Part("sensitivity", "Sensitivity", "Each unit alone low, and alone high", _sensitivity(result)),
        Part(
            "again",
            "To measure a point again",
            "The line for a shell",
            (Facts("", tuple((f"{row.passes} {row.precision}", row.command) for row in result.front)),),
        ),
        Part("rest", "What was not timed", "Left out with the reason, and what the budget did not allow", _rest(result)),
    ]
    return page(f"{request.variant} · trtbench tune", ("What to lower, and what to keep", line), parts)


def _choice(result: Result) -> tuple[Block, ...]:
    row = result.choice
    if row is None:
        return (Prose(f"Nothing reaches {result.request.goal}: {result.nearest}.", "warn"),)
    facts = (
        ("passes", row.passes),
        ("precision", row.precision),
        ("kept high", ", ".join(row.kept) or "nothing"),
        ("speedup", f"{times(row.speedup.value)} ({range_times(row.speedup)}) against the raw fp32 export"),
        ("latency", f"{microseconds(row.latency_us.value)} µs ({range_us(row.latency_us)})"),
        ("accuracy", f"{row.said}; {row.accuracy}"),
        ("on the held-out half", row.held_out or "not asked"),
        ("to measure it again", row.command),
    )
    return Facts("", facts), Prose(result.data)


def _cloud(result: Result, goal: Goal) -> Chart:
    """Time as a share of the raw export's that took turns: a machine that other work slows down slows both."""
    timed = [point for point in result.points if not point.same_as]
    groups = (("within", [p for p in timed if p.within], 1), ("not within", [p for p in timed if not p.within], 3))
    traces = [_points(name, found, goal, colour) for name, found, colour in groups if found]
    x, y = (tuple(1 / row.speedup.value for row in result.front), tuple(_height(row.loss, goal) for row in result.front))
    title = "signal-to-noise, dB" if goal.kind == SNR else "lost (lower is better)"
    return Chart("", (Trace("line", "front", x, y), *traces), Axis("time, of the raw fp32 export's"), (Axis(title),))


def _points(name: str, found: Sequence[Point], goal: Goal, colour: int) -> Trace:
    return Trace(
        "points",
        name,
        x=tuple(1 / point.speedup.value for point in found),
        y=tuple(_height(point.loss, goal) for point in found),
        hover=tuple((point.case.pipeline, point.case.precision, times(point.speedup.value), point.accuracy) for point in found),
        x_low=tuple(1 / point.speedup.high for point in found),
        x_high=tuple(1 / point.speedup.low for point in found),
        colours=(colour,),
    )


def _height(loss: float, goal: Goal) -> float:
    return min(-loss, HIGHEST_DB) if goal.kind == SNR else loss


def _rows(front: Sequence[Row]) -> Table:
    columns = (
        *(Column("passes", kind="name"), Column("precision", kind="name"), Column("latency", "µs", "number")),
        *(Column("speedup", "", "number"), Column("95 % interval"), Column("accuracy"), Column("held-out half")),
        *(Column("within"),),
    )
    return Table(columns, tuple(_row(row) for row in front))


def _row(row: Row) -> tuple[Cell, ...]:
    return (
        *(Cell(row.passes), Cell(row.precision), Cell(microseconds(row.latency_us.value), row.latency_us.value)),
        *(Cell(times(row.speedup.value), row.speedup.value), Cell(range_times(row.speedup)), Cell(row.said, row.loss)),
        *(Cell(row.held_out or "–"), Cell("yes" if row.within else "no", tone="good" if row.within else "muted")),
    )


def _sensitivity(result: Result) -> tuple[Block, ...]:
    found: list[Block] = []
    for precision in dict.fromkeys(entry.precision for entry in result.sensitivity):
        ranking = [entry for entry in result.sensitivity if entry.precision == precision]
        found += [_bars(precision, ranking[:SHOWN], len(ranking))]
    return tuple(found) or (Prose("No unit was tried."),)


def _bars(precision: str, shown: Sequence[Sensitivity], count: int) -> Chart:
    trace = Trace(
        "bars",
        "score",
        x=tuple(entry.score for entry in shown),
        names=tuple(entry.unit for entry in shown),
        hover=tuple(_hover(entry) for entry in shown),
        colours=(0,),
    )
    return Chart(f"{precision}: {len(shown)} of {count} units", (trace,), Axis("share of the noise"), (Axis(""),), legend=False)


def _hover(entry: Sensitivity) -> tuple[str, ...]:
    def said(noise: float | None) -> str:
        value = decibel(noise)
        return "not tried" if value is None else f"{min(value, MAX_SNR_DB):.1f} dB"

    saved = "unknown" if entry.saved_us is None else f"{entry.saved_us:.1f} µs"
    return (
        entry.unit,
        f"only this low: {said(entry.alone)}",
        f"all but this low: {said(entry.without)}",
        f"lowering saves {saved}",
        entry.why,
    )


def _rest(result: Result) -> tuple[Block, ...]:
    rows = [(Cell(what), Cell(why)) for what, why in result.left_out.items()]
    rows += [(Cell(what), Cell("the budget was spent")) for what in result.untried]
    if not rows:
        return (Prose("Everything was timed."),)
    return (Table((Column("what", kind="name"), Column("why", kind="message")), tuple(rows), search=len(rows) > SHOWN),)
