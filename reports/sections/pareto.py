"""Which cases no other beats on both speed and accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.accuracy import MAX_SNR_DB
from reports.blocks import Axis, Block, Chart, Chooser, Option, Prose, Trace
from reports.run import Entry, Run
from reports.section import Section
from reports.statistics import Estimate
from reports.wording import decibel, microseconds, range_us

HIGHEST_DB = 160.0
"""Higher ratios are drawn here: float32 against itself in another order is near 130 dB, "equal" would be 300."""

LOG_FROM = 4.0
"""Latencies further apart than this ratio stand on a logarithmic axis."""


@dataclass(frozen=True, slots=True)
class Point:
    """One accurate case: microseconds a batch or an input, SNR in dB, the task metric's change or, without one, the agreement."""

    name: str
    precision: str
    latency_us: Estimate
    snr_db: float
    quality: float
    axis: str
    said: str


def points(entries: Sequence[Entry], per_input: bool) -> tuple[Point, ...]:
    """The timed entries with an accuracy, latency divided by the batch where `per_input`."""
    found = []
    for entry in entries:
        timing, accuracy = entry.timing, entry.record.accuracy
        if timing is None or accuracy is None:
            continue
        share, whole = entry.case.batch if per_input else 1, timing.median_us
        latency = Estimate(whole.value / share, whole.low / share, whole.high / share)
        delta = accuracy.delta
        quality, axis = (accuracy.agreement, accuracy.metric) if delta is None else (delta, f"change of {accuracy.metric}")
        snr = decibel(accuracy.worst_snr_db)
        said = f"SNR {snr}{'' if snr == 'equal' else ' dB'}, {accuracy.change}"
        found.append(Point(entry.case.id, entry.case.precision, latency, accuracy.worst_snr_db, quality, axis, said))
    return tuple(found)


def frontier(pairs: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """Indices of the (latency, quality) pairs that no other pair matches or beats on both, fastest first."""
    order = sorted(range(len(pairs)), key=lambda i: (pairs[i][0], -pairs[i][1]))
    best, kept = float("-inf"), []
    for index in order:
        if pairs[index][1] > best:
            best = pairs[index][1]
            kept.append(index)
    return tuple(kept)


def _blocks(run: Run) -> tuple[Block, ...]:
    options = []
    for (variant, backend, key), entries in _families(run).items():
        for batch in sorted({entry.case.batch for entry in entries}):
            one = [entry for entry in entries if entry.case.batch == batch]
            names = run.place_names((variant, backend, batch, key))
            options += _option(run, names, points(one, per_input=False), "latency per batch, µs")
        if len({entry.case.batch for entry in entries}) > 1:
            names = run.place_names((variant, backend, 0, key))
            names = (*names[:2], "all, per input", *names[3:])
            options += _option(run, names, points(entries, per_input=True), "latency per input, µs")
    if not options:
        return ()
    labels = ("variant", "backend", "batch", "environment")[: len(options[0].names)]
    return Prose(_note(run)), Chooser(labels, tuple(options))


def _families(run: Run) -> dict[tuple[str, str, str], list[Entry]]:
    families: dict[tuple[str, str, str], list[Entry]] = {}
    for (variant, backend, _, key), entries in run.places().items():
        timed = [entry for entry in entries if entry.timing and entry.record.accuracy]
        if timed:
            families.setdefault((variant, backend, key), []).extend(timed)
    return families


def _note(run: Run) -> str:
    without = sum(1 for entry in run.entries if not entry.timing)
    missing = f" {without:,} without a speed cannot stand here." if without else ""
    return (
        "Left is faster, up is truer to the PyTorch FP32 reference; horizontal lines are 95 % intervals. The stepped "
        "line joins the cases that no other beats on both by their medians; where intervals overlap, medians do not "
        f"rank.{missing}"
    )


def _option(run: Run, names: tuple[str, ...], found: tuple[Point, ...], x_title: str) -> list[Option]:
    if not found:
        return []
    heights = [min(point.snr_db, HIGHEST_DB) for point in found]
    traces = _panel(run, found, heights, 0) + _panel(run, found, [point.quality for point in found], 1)
    snr = Axis("signal-to-noise against the reference, dB", ticks=_snr_ticks(found))
    metric = Axis(found[0].axis)
    medians = [point.latency_us.value for point in found]
    chart = Chart("", traces, Axis(x_title, log=max(medians) > LOG_FROM * min(medians)), (snr, metric))
    return [Option(names, (chart,))]


def _snr_ticks(found: tuple[Point, ...]) -> tuple[tuple[float, str], ...]:
    highest = max(point.snr_db for point in found)
    if highest < HIGHEST_DB:
        return ()
    cap = "equal" if highest >= MAX_SNR_DB else f"≥ {HIGHEST_DB:.0f}"
    return (*((float(db), str(db)) for db in range(-300, int(HIGHEST_DB), 20)), (HIGHEST_DB, cap))


def _panel(run: Run, found: tuple[Point, ...], heights: list[float], panel: int) -> tuple[Trace, ...]:
    traces = []
    for colour, precision in enumerate(run.precisions):
        chosen = [(point, y) for point, y in zip(found, heights, strict=True) if point.precision == precision]
        if chosen:
            traces.append(_cloud(precision, chosen, colour, panel))
    best = frontier([(point.latency_us.value, y) for point, y in zip(found, heights, strict=True)])
    steps = tuple(found[i].latency_us.value for i in best)
    return Trace("line", "frontier", steps, tuple(heights[i] for i in best), panel=panel), *traces


def _cloud(precision: str, chosen: list[tuple[Point, float]], colour: int, panel: int) -> Trace:
    return Trace(
        "points",
        precision,
        x=tuple(point.latency_us.value for point, _ in chosen),
        y=tuple(y for _, y in chosen),
        hover=tuple(_hover(point) for point, _ in chosen),
        x_low=tuple(point.latency_us.low for point, _ in chosen),
        x_high=tuple(point.latency_us.high for point, _ in chosen),
        colours=(colour,),
        panel=panel,
    )


def _hover(point: Point) -> tuple[str, ...]:
    return (
        point.name,
        f"{microseconds(point.latency_us.value)} µs ({range_us(point.latency_us)})",
        point.said,
    )


pareto = Section(30, "Latency against accuracy", _blocks, "No accurate case was timed, so there is nothing to weigh.")
