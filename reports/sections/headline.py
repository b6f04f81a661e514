"""What ran, which accurate case is fastest, and how large a difference must be to mean something."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from reports.blocks import MISSING, Block, Cell, Column, Prose, Table, Tile, Tiles
from reports.run import Entry, Place, Run
from reports.section import Section
from reports.wording import (
    OUTCOMES,
    Claim,
    claim,
    count,
    decibel,
    microseconds,
    number,
    range_times,
    range_us,
    ratio_bar,
    times,
)

NOISY = 0.02
"""More than this of a case against itself, and no verdict should be given; quiet ABBA pairs stay near 0.3 %."""
NOTHING = "No record was found: the run ended before its first case did."


@dataclass(frozen=True, slots=True)
class Best:
    """The fastest accurate case of one place, what may be claimed of it, and the noise there."""

    place: Place
    entry: Entry
    claim: Claim
    noise: float | None


def best_of_each_place(run: Run) -> tuple[Best, ...]:
    """Of each variant, backend and batch with a timed case: the surest gain, else the plain export, else the lowest median."""
    places = ((place, [entry for entry in entries if entry.timing]) for place, entries in run.places().items())
    return tuple(_best(run, place, timed) for place, timed in places if timed)


def _best(run: Run, place: Place, timed: list[Entry]) -> Best:
    plain = next((entry for entry in timed if entry.is_plain), None)
    fallback = plain or min(timed, key=lambda entry: entry.timing.median_us.value if entry.timing else 0.0)
    entry = surest(run, timed) or fallback
    return Best(place, entry, _claim(run, entry), run.noise_at(place))


def surest(run: Run, timed: Iterable[Entry]) -> Entry | None:
    """The entry whose gain has the highest lower end, among the claims that hold: not the luckiest median."""
    faster = [entry for entry in timed if _claim(run, entry).tone == "good"]
    return max(faster, key=lambda entry: entry.timing.speedup.low if entry.timing else 0.0, default=None)


def _claim(run: Run, entry: Entry) -> Claim:
    assert entry.timing
    if entry.is_plain:
        return Claim("the plain export itself", "muted")
    return claim(entry.timing.speedup, entry.timing.pairs, run.noise_at(entry.place))


def _blocks(run: Run) -> tuple[Block, ...]:
    warnings = tuple(Prose(text, "warn") for text in run.warnings)
    if not run.entries:
        return (*warnings, Prose(NOTHING))
    best = best_of_each_place(run)
    table = (_table(run, best),) if best else ()
    return (Tiles((_cases(run), _fastest(run), _noise(run))), *warnings, *table)


def _cases(run: Run) -> Tile:
    counts = Counter(type(entry.record.outcome) for entry in run.entries)
    parts = [f"{counts[kind]:,} {name}" for kind, (name, _) in OUTCOMES.items() if counts[kind]]
    return Tile("Cases", f"{len(run.entries):,}", ", ".join(parts))


def _fastest(run: Run) -> Tile:
    entry = surest(run, run.timed)
    if entry is None or entry.timing is None:
        why = "no case was timed" if not run.timed else "no step was seen to be faster than the plain fp32 export"
        return Tile("Fastest accurate case", "none", why, "muted")
    timing, accuracy = entry.timing, entry.record.accuracy
    lines = [
        entry.case.id,
        f"95 % interval {range_times(timing.speedup)}, median {microseconds(timing.median_us.value)} µs",
    ]
    if accuracy:
        lines.append(f"SNR {decibel(accuracy.worst_snr_db)} dB, {accuracy.change}")
    return Tile("Fastest accurate case", _claim(run, entry).text, "\n".join(lines), "good")


def _noise(run: Run) -> Tile:
    label = "Noise floor"
    if not run.noise:
        return Tile(label, "not measured", "no plain export was timed against a second copy of itself", "muted")
    values = [value for _, value in run.noise]
    copies = count(len(values), "plain export")
    detail = f"the most by which {copies} differed from a second copy; smaller effects are not claimed"
    if max(values) > NOISY:
        detail += f"; above ±{NOISY:.0%} the machine is too busy to trust: run again on a quiet one"
    least = "" if len(values) == 1 else f"±{min(values):.2%} to "
    return Tile(label, f"{least}±{max(values):.2%}", detail, "warn" if max(values) > NOISY else "")


def _table(run: Run, best: tuple[Best, ...]) -> Table:
    columns = (
        Column("where"),
        Column("fastest accurate case", hint="the gain with the highest lower end of its interval"),
        Column("median", "µs", "number"),
        Column("95 % interval", "µs", "number"),
        Column("speedup", "", "number", hint="against the plain fp32 export that took turns with it"),
        Column("from 1", kind="bar"),
        Column("finding"),
        Column("noise", "±%", "number", hint="the plain export against a second copy of itself"),
    )
    return Table(columns, tuple(_row(run, one) for one in best), "Fastest accurate case of each place")


def _row(run: Run, best: Best) -> tuple[Cell, ...]:
    timing = best.entry.timing
    assert timing
    return (
        Cell(", ".join(run.place_names(best.place))),
        Cell(f"{best.entry.case.pipeline}, {best.entry.case.precision}", hint=best.entry.case.id),
        Cell(microseconds(timing.median_us.value), timing.median_us.value),
        Cell(range_us(timing.median_us), timing.median_us.half_width),
        Cell(times(timing.speedup.value), timing.speedup.value, hint=range_times(timing.speedup)),
        ratio_bar(timing.speedup),
        best.claim.word,
        MISSING if best.noise is None else number(best.noise * 100, 2),
    )


headline = Section(10, "Headline", _blocks, NOTHING)
