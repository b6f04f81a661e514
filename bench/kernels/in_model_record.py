"""What timing LayerNorm versions inside a model leaves behind, and its tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.kernels.measurement import Clocks
from bench.kernels.stats import Interval, median_interval, ratio_interval


@dataclass(frozen=True, slots=True)
class Contender:
    """One way of normalising: block samples in microseconds a forward pass.

    `error` is the relative distance of the output from the unchanged model in float64.
    """

    name: str
    samples_us: tuple[float, ...]
    error: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """One model at one batch and precision, all contenders in turns."""

    model: str
    batch: int
    dtype: str
    norms: int
    norm_rows: int
    contenders: tuple[Contender, ...]
    clocks: Clocks | None


@dataclass(frozen=True, slots=True)
class Line:
    """One contender beside torch: latency, ratio of latencies with its interval, share of LayerNorm saved.

    The whole of LayerNorm is what removing it saves: `saved` is 1 for a kernel that costs nothing.
    """

    name: str
    latency: Interval
    ratio: float
    ratio_low: float
    ratio_high: float
    saved: float
    error: float


def compare(cell: Cell) -> Iterator[Line]:
    """A line for every contender that was timed; ratios are paired block by block."""
    by_name = {c.name: c for c in cell.contenders}
    base, least = by_name["torch"].samples_us, by_name["removed"].samples_us
    before = median_interval(base).median_us
    most = before - median_interval(least).median_us
    for one in cell.contenders:
        if one.samples_us:
            got = median_interval(one.samples_us)
            ratio, low, high = ratio_interval(one.samples_us, base)
            yield Line(one.name, got, ratio, low, high, (before - got.median_us) / most, one.error)


def lines(cell: Cell) -> list[str]:
    """The cell as text, refusals with their reasons last."""
    found = [f"{cell.model} batch {cell.batch} {cell.dtype}: {cell.norms} LayerNorms of {cell.norm_rows} rows"]
    for x in compare(cell):
        found.append(
            f"  {x.name:14s} {x.latency.median_us:9.1f} us [{x.latency.low_us:.1f}, {x.latency.high_us:.1f}]  "
            f"{x.ratio:.4f} x torch [{x.ratio_low:.4f}, {x.ratio_high:.4f}]  saves {x.saved:6.1%} of LayerNorm  error {x.error:.1e}"
        )
    return found + [f"  {c.name:14s} {c.reason}" for c in cell.contenders if c.reason]


def markdown(cells: Sequence[Cell], facts: Mapping[str, str]) -> str:
    """All cells as one table, latency in microseconds; in brackets the 95 % interval of the ratio to torch."""
    names = [c.name for c in cells[0].contenders]
    where = f"{facts.get('gpu', '?')}, driver {facts.get('nvidia_driver', '?')}, torch {facts.get('torch', '?')}, {facts.get('utc', '?')}"
    head = f"| model | batch | dtype | LayerNorms | {' | '.join(names)} |"
    rows = [f"Measured on {where}, commit {facts.get('commit', '?')}.", "", head, "|" + " --- |" * (len(names) + 4)]
    for cell in cells:
        timed = {x.name: x for x in compare(cell)}
        start = f"| {cell.model} | {cell.batch} | {cell.dtype} | {cell.norms} x {cell.norm_rows} rows |"
        rows.append(start + "".join(f" {_field(timed.get(n))} |" for n in names))
    return "\n".join(rows) + "\n"


def _field(line: Line | None) -> str:
    if line is None:
        return "not timed"
    if line.name == "torch":
        return f"{line.latency.median_us:.1f}"
    return f"{line.latency.median_us:.1f}, {line.ratio - 1:+.2%} [{line.ratio_low - 1:+.2%}, {line.ratio_high - 1:+.2%}]"
