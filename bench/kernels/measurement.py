"""What a timing run leaves behind: frozen rows that reports read, and their JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Clocks:
    """NVML readings while one problem was timed: MHz, degrees, watts; `throttle` names reasons."""

    sm_mhz_low: int
    sm_mhz_high: int
    memory_mhz: int
    celsius: int
    watts: float
    throttle: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Timing:
    """One contender on one problem: block samples in microseconds a launch, or why there are none."""

    name: str
    kind: str
    samples_us: tuple[float, ...]
    reason: str = ""
    worst_error: float = 0.0
    pdl: bool = False


@dataclass(frozen=True, slots=True)
class Timed:
    """One problem, all contenders interleaved block by block."""

    family: str
    problem: str
    where: str
    dims: dict[str, int]
    dtype: str
    bytes_moved: int
    launches_per_graph: int
    buffer_sets: int
    timings: tuple[Timing, ...]
    clocks: Clocks | None


@dataclass(frozen=True, slots=True)
class Run:
    """A whole run with what is needed to repeat it."""

    environment: dict[str, str]
    protocol: dict[str, float]
    problems: tuple[Timed, ...]


def to_json(run: Run) -> str:
    """One line a problem, so that a diff of two runs is readable."""
    body = asdict(run)
    problems = body.pop("problems")
    head = json.dumps(body, indent=1)
    lines = ",\n".join(json.dumps(_short(p), separators=(",", ":")) for p in problems)
    return f'{head[:-2]},\n "problems": [\n{lines}\n]}}\n'


def save(run: Run, path: Path) -> None:
    """Write `run` to `path`, whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text(to_json(run), encoding="utf-8")
    part.replace(path)


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {k: _short(v) for k, v in value.items()}
    return [_short(v) for v in value] if isinstance(value, (list, tuple)) else value
