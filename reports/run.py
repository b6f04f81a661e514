"""A journal as the report reads it: each case once, its intervals worked out once, its noise known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from reports.case import ONNX, Case
from reports.journal import Journal
from reports.record import Built, Environment, Failed, Measured, Record
from reports.statistics import Estimate, gain

PLAIN = "fp32"
"""The precision of the plain export, which the first row of every ladder is."""

Place: TypeAlias = tuple[str, str, int, str]
"""(variant, backend, batch, environment key): only cases of one place are compared."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What a measured case's samples say, times in microseconds; `pairs` counts the blocks that took turns."""

    median_us: Estimate
    speedup: Estimate
    p99_us: float | None
    samples: int
    pairs: int


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One case of the report; `timing` is there exactly where the outcome is Measured with samples.

    Equal only to itself: comparing or hashing thousands of samples would cost more than what it saves.
    """

    record: Record
    timing: Timing | None

    @property
    def case(self) -> Case:
        """The record's case."""
        return self.record.case

    @property
    def place(self) -> Place:
        """Where it may be compared."""
        return self.case.variant, self.case.backend, self.case.batch, self.record.environment.key

    @property
    def is_plain(self) -> bool:
        """Whether this is the plain ONNX export: no passes, fp32."""
        return not self.case.passes and self.case.precision == PLAIN and self.case.source == ONNX

    @property
    def reason(self) -> str:
        """Why there is no speed; "" for a measured case."""
        outcome = self.record.outcome
        if isinstance(outcome, Measured):
            return ""
        return outcome.why_not_run if isinstance(outcome, Built) else outcome.reason

    @property
    def stage(self) -> str:
        """Where it broke, "" where it did not."""
        return self.record.outcome.stage if isinstance(self.record.outcome, Failed) else ""


@dataclass(frozen=True, slots=True)
class Run:
    """Every entry in the order recorded, what to warn of, and per place how far a case is from its own copy."""

    entries: tuple[Entry, ...]
    warnings: tuple[str, ...]
    noise: tuple[tuple[Place, float], ...]

    @property
    def timed(self) -> tuple[Entry, ...]:
        """The entries that have a speed."""
        return tuple(entry for entry in self.entries if entry.timing)

    @property
    def environments(self) -> tuple[Environment, ...]:
        """One of each key, in the order met."""
        return tuple({entry.record.environment.key: entry.record.environment for entry in self.entries}.values())

    @property
    def precisions(self) -> tuple[str, ...]:
        """Plain first, then by name, so that a precision keeps its colour through the page."""
        names = {entry.case.precision for entry in self.entries}
        return tuple(sorted(names, key=lambda name: (name != PLAIN, name)))

    def noise_at(self, place: Place) -> float | None:
        """The largest ratio, less 1, that a case showed against its own copy; None where none was timed so."""
        return dict(self.noise).get(place)

    def places(self) -> dict[Place, tuple[Entry, ...]]:
        """The entries by place, in the order recorded, places sorted."""
        groups: dict[Place, list[Entry]] = {}
        for entry in self.entries:
            groups.setdefault(entry.place, []).append(entry)
        return {place: tuple(groups[place]) for place in sorted(groups)}

    def place_names(self, place: Place) -> tuple[str, ...]:
        """A place in words: variant, backend and batch, and the environment where there are several."""
        variant, backend, batch, key = place
        several = len(self.environments) > 1
        return (variant, backend, f"batch {batch}") + ((f"environment {key[:8]}",) if several else ())


def read_run(journal: Journal) -> Run:
    """Shape a journal: of a case recorded twice in one environment the later record counts, and that is said."""
    latest = {(record.case, record.environment.key): record for record in journal.records}
    entries = tuple(Entry(record, _timing(record)) for record in latest.values())
    return Run(entries, journal.warnings + tuple(_doubts(journal, latest.values())), tuple(_noise(entries).items()))


@lru_cache(maxsize=20_000)
def step_gain(after: Entry, before: Entry) -> Estimate | None:
    """How many times faster one entry is than another of its place; None where they share no baseline."""
    new, old = after.record.outcome, before.record.outcome
    if not (isinstance(new, Measured) and isinstance(old, Measured) and after.timing and before.timing):
        return None
    if new.baseline != old.baseline or after.place != before.place:
        return None
    return gain((new.blocks_us, new.baseline_blocks_us, new.loads), (old.blocks_us, old.baseline_blocks_us, old.loads))


def _timing(record: Record) -> Timing | None:
    outcome = record.outcome
    if not isinstance(outcome, Measured) or not outcome.blocks_us:
        return None
    return Timing(
        median_us=outcome.median_us,
        speedup=outcome.speedup,
        p99_us=outcome.p99_us,
        samples=sum(len(block) for block in outcome.blocks_us),
        pairs=len(outcome.blocks_us),
    )


def _noise(entries: Iterable[Entry]) -> dict[Place, float]:
    noise: dict[Place, float] = {}
    for entry in entries:
        outcome = entry.record.outcome
        if entry.timing and isinstance(outcome, Measured) and outcome.baseline == entry.case.id:
            ratio = entry.timing.speedup
            noise[entry.place] = max(noise.get(entry.place, 0.0), abs(ratio.low - 1), abs(ratio.high - 1))
    return noise


def _doubts(journal: Journal, kept: Iterable[Record]) -> list[str]:
    records = list(kept)
    doubts = []
    if again := len(journal.records) - len(records):
        doubts.append(f"{again} earlier record(s) of a case that was recorded again are left out; the latest counts")
    if (several := len({record.environment.key for record in records})) > 1:
        doubts.append(f"the records come from {several} environments; cases are compared within one environment only")
    unsampled = [r.case.id for r in records if isinstance(r.outcome, Measured) and not r.outcome.blocks_us]
    doubts += [f"{case}: measured, but the record holds no samples; no speed is shown" for case in unsampled]
    return doubts
