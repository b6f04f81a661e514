"""The only clock: blocks of single runs on the monotonic host clock."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns
from typing import TypeAlias

Block: TypeAlias = tuple[float, ...]


def time_block(call: Callable[[], object], seconds: float) -> Block:
    """Microseconds of each run, at least one, until `seconds` have gone."""
    samples = []
    end = perf_counter_ns() + int(seconds * 1e9)
    start = perf_counter_ns()
    while True:
        call()
        now = perf_counter_ns()
        samples.append((now - start) / 1e3)
        if now >= end:
            return tuple(samples)
        start = perf_counter_ns()
