"""Read committed kernel measurements: one row a problem and contender, with its interval."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import UserError
from reports import statistics


class BadMeasurement(UserError):
    """A measurement file cannot be read; the message names it and what to do."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A median with its bootstrap 95 % interval; microseconds, or a ratio where so named."""

    median_us: float
    low_us: float
    high_us: float

    @property
    def relative_width(self) -> float:
        """Half the interval over the median: 0.005 is +-0.5 %."""
        return (self.high_us - self.low_us) / 2 / self.median_us


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where and how a file was measured, for its label."""

    gpu: str
    utc: str
    commit: str
    command: str
    facts: tuple[tuple[str, str], ...]

    @property
    def label(self) -> str:
        """E.g. `NVIDIA H200, 2026-11-21, commit f1ec28421cef`."""
        return f"{self.gpu}, {self.utc[:10]}, commit {self.commit}"


@dataclass(frozen=True, slots=True)
class KernelMeasurement:
    """One contender on one problem. `time` is None where it was not timed and `reason` says why.

    `over_copy` is the median of time / copy over blocks taken in turns; `kind` is "version",
    "peer" or "floor".
    """

    family: str
    problem: str
    where: str
    dtype: str
    bytes_moved: int
    contender: str
    kind: str
    time: Interval | None
    over_copy: Interval | None
    reason: str
    throttle: tuple[str, ...]


def load_measurements(path: Path) -> list[KernelMeasurement]:
    """Every row of a file that `python -m bench.kernels.run` wrote; raises BadMeasurement."""
    return [row for problem in _read(path)["problems"] for row in _rows(problem)]


def load_provenance(path: Path) -> Provenance:
    """Machine, date, commit and command of a measurement file; raises BadMeasurement."""
    facts: dict[str, str] = _read(path)["environment"]
    return Provenance(facts["gpu"], facts["utc"], facts["commit"], facts["command"], tuple(sorted(facts.items())))


def over_copy(path: Path) -> list[tuple[str, str, str, str, float]]:
    """(family, contender, kind, problem, median of time / copy) of every timed row, without intervals: quick enough
    for each rendering of the report. Raises BadMeasurement."""
    found = []
    for problem in _read(path)["problems"]:
        copy = next((timing["samples_us"] for timing in problem["timings"] if timing["name"] == "copy"), None)
        for timing in problem["timings"]:
            if copy and timing["samples_us"] and timing["name"] != "copy":
                ratio = float(np.median(np.divide(timing["samples_us"], copy)))
                found.append((problem["family"], timing["name"], timing["kind"], problem["problem"], ratio))
    return found


def median_interval(samples: Sequence[float], seed: int = 0) -> Interval:
    """Median of `samples` and its percentile bootstrap 95 % interval."""
    found = statistics.median_interval(samples, seed=seed)
    return Interval(found.value, found.low, found.high)


def geometric_means(rows: Sequence[KernelMeasurement]) -> dict[tuple[str, str], float]:
    """(family, contender) to the geometric mean of its time over the copy's."""
    logs: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if row.over_copy is not None:
            logs.setdefault((row.family, row.contender), []).append(float(np.log(row.over_copy.median_us)))
    return {key: float(np.exp(np.mean(found))) for key, found in logs.items()}


def _rows(problem: dict[str, Any]) -> list[KernelMeasurement]:
    samples = {t["name"]: np.asarray(t["samples_us"]) for t in problem["timings"] if t["samples_us"]}
    copy = samples.get("copy")
    clocks = problem["clocks"] or {}
    return [
        KernelMeasurement(
            family=problem["family"],
            problem=problem["problem"],
            where=problem["where"],
            dtype=problem["dtype"],
            bytes_moved=problem["bytes_moved"],
            contender=timing["name"],
            kind=timing["kind"],
            time=median_interval(timing["samples_us"]) if timing["samples_us"] else None,
            over_copy=_ratio(samples.get(timing["name"]), copy),
            reason=timing["reason"],
            throttle=tuple(clocks.get("throttle", ())),
        )
        for timing in problem["timings"]
    ]


def _ratio(ours: Any, copy: Any) -> Interval | None:
    # Blocks were taken in turns, so the ratio within a block is free of the clock's drift.
    return None if ours is None or copy is None else median_interval((ours / copy).tolist())


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadMeasurement(f"{path}: {error}; measure again: python -m bench.kernels.run --out {path}") from error
    missing = [key for key in ("environment", "problems") if key not in found]
    if missing:
        raise BadMeasurement(f"{path}: no '{missing[0]}' in it; measure again: python -m bench.kernels.run --out {path}")
    return found
