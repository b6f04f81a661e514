"""IProfiler times dumped as JSON"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from common.errors import UserError
from reports.layers.found import Found, Source, Time
from reports.layers.sources._json import anything
from reports.layers.sources._numbers import bounded, milliseconds
from reports.layers.sources.export_times import median

WHAT = "a dump of IProfiler times"


def parse(data: bytes) -> Found:
    """`{layer: [ms, ...]}` or `{layer: [[ms, when], ...]}`, one number a call.

    Raises UserError where layers have one bare number each: nothing says that those are times.
    """
    bounded(data.count(b'":'))
    content = anything(data, WHAT)
    samples = _samples(content)
    if samples is None:
        raise UserError("holds no layer times: export a profile with trtexec --exportProfile=FILE --separateProfileRun")
    return times(samples)


def times(samples: Mapping[str, list[float]]) -> Found:
    """Milliseconds of every call -> times a run, a run being the fewest calls that any layer has."""
    runs = min(map(len, samples.values()))
    found = []
    for name, values in samples.items():
        calls = max(round(len(values) / runs), 1)
        total = sum(values) * 1e3
        found.append(Time(name, total / runs, median(values) * 1e3 * calls, total, calls))
    return Found("IProfiler dump", found, runs=runs)


def _samples(content: Any) -> dict[str, list[float]] | None:
    if not isinstance(content, dict) or not content:
        return None
    found = {}
    for name, values in content.items():
        numbers = _numbers(values)
        if not numbers:
            return None
        found[name] = numbers
    return found


def _numbers(values: Any) -> list[float] | None:
    if not isinstance(values, list):
        return None
    found = [value[0] if isinstance(value, list) and value else value for value in values]
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in found):
        return None
    return [milliseconds(value) for value in found]


profiler_dump = Source(re.compile(rb'^\s*\{\s*"(?:[^"\\]|\\.){0,20000}"\s*:\s*\[\s*(?:\[\s*)?-?[\d.]'), parse)
