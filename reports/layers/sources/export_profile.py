"""trtexec --exportProfile"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from common.errors import UserError
from reports.layers.found import Found, Source, Time
from reports.layers.sources._json import damage
from reports.layers.sources._numbers import LONGEST_MS, MOST_RUNS, bounded, milliseconds

WHAT = "trtexec's --exportProfile"
GAP = r"\s{0,9}"
NAME = re.compile(rf'[\[,]{GAP}\{{{GAP}"name"{GAP}:{GAP}"')
NUMBER = r"[^\s,}]{1,500}"
AFTER_NAME = re.compile(
    rf'"{GAP},{GAP}"timeMs"{GAP}:{GAP}(?P<total>{NUMBER}){GAP},{GAP}"averageMs"{GAP}:{GAP}(?P<mean>{NUMBER}){GAP}'
    rf'(?:,{GAP}"medianMs"{GAP}:{GAP}(?P<median>{NUMBER}){GAP})?,{GAP}"percentage"{GAP}:{GAP}{NUMBER}{GAP}\}}'
)
COUNT = re.compile(r'"count"\s*:\s*(\d{1,15})')


class _Entry(msgspec.Struct, gc=False):
    name: str | None = None
    total: float | None = msgspec.field(name="timeMs", default=None)
    mean: float | None = msgspec.field(name="averageMs", default=None)
    median: float | None = msgspec.field(name="medianMs", default=None)
    count: int | None = None


_decoder = msgspec.json.Decoder(list[_Entry])


def parse(data: bytes) -> Found:
    """Every layer in the order written, `nan` as 0.

    A mean a run is timeMs / count: averageMs divides by count up to 8.2 and by the layer's own calls from 8.4, so the two tell
    how often a layer is called in a run.
    """
    try:
        entries = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        entries = _unescaped(data.decode("utf-8", "replace"))
        if not entries:
            raise UserError(damage(data, error, WHAT)) from error
    runs = next((entry.count for entry in entries if entry.count is not None and 0 < entry.count <= MOST_RUNS), None)
    bounded(len(entries))
    times, partly = _times(entries, runs)
    if not times:
        raise UserError(f"holds no layer, so it is no use as {WHAT}: run trtexec with --separateProfileRun")
    notes = (f"{partly} layers ran in only some of the runs; their times are spread over all runs",) if partly else ()
    return Found("exportProfile", times, runs=runs, notes=notes)


def _times(entries: Sequence[_Entry], runs: int | None) -> tuple[list[Time], int]:
    """The time of every layer, and how many layers ran in only some of the runs."""
    times: list[Time] = []
    partly = 0
    for entry in entries:
        name, total, mean, median = entry.name, entry.total, entry.mean, entry.median
        if name is None:
            continue
        total = total if total is not None and 0.0 <= total <= LONGEST_MS else 0.0
        mean = mean if mean is not None and 0.0 <= mean <= LONGEST_MS else 0.0
        if median is not None:
            median = median * 1e3 if 0.0 <= median <= LONGEST_MS else 0.0
        # Calls a run; 1 where the file cannot tell.
        ratio = min(total / mean / runs, MOST_RUNS) if total and mean and runs else 1.0
        if 0.75 < ratio < 1.5 or not runs:
            times.append(Time(name, mean * 1e3, median, total * 1e3))
            continue
        partly += ratio < 0.75
        calls = max(round(ratio), 1)
        times.append(Time(name, total / runs * 1e3, None if median is None else median * calls, total * 1e3, calls))
    return times, partly


def _unescaped(text: str) -> list[_Entry]:
    """Entries whose names hold bare quotes, backslashes or control bytes, or whose numbers are nan: the writer escapes nothing."""
    count, name = COUNT.search(text[:4096]), NAME.search(text)
    entries = [_Entry(count=int(count[1]))] if count else []
    end = len(text)
    for numbers in AFTER_NAME.finditer(text):
        if name is None or numbers.start() < name.end():
            continue
        total, mean = milliseconds(numbers["total"]), milliseconds(numbers["mean"])
        median = None if numbers["median"] is None else milliseconds(numbers["median"])
        entries.append(_Entry(text[name.end() : numbers.start()], total, mean, median))
        end = numbers.end()
        name = NAME.search(text, end, end + 64)
    return entries if text[end:].strip() == "]" else []


export_profile = Source(re.compile(rb'"timeMs"|^\s*\[\s*\{\s*"count"\s*:\s*\d+\s*\}'), parse)
