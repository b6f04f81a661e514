"""trtexec --exportProfile"""

from __future__ import annotations

import re

import msgspec

from common.errors import UserError
from reports.layers.found import Found, Source, Time
from reports.layers.sources._json import damage

WHAT = "trtexec's --exportProfile"
GAP = r"\s{0,9}"
NAME = re.compile(rf'[\[,]{GAP}\{{{GAP}"name"{GAP}:{GAP}"')
NUMBER = r"[^\s,}]{1,40}"
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
    runs = next((entry.count for entry in entries if entry.count is not None), None)
    times: list[Time] = []
    add = times.append
    for entry in entries:
        if entry.name is not None:
            add(_time(entry, runs))
    if not times:
        raise UserError(f"holds no layer, so it is no use as {WHAT}: run trtexec with --separateProfileRun")
    partly = sum(entry.total is not None and _calls(entry, runs) < 0.75 for entry in entries)
    notes = (f"{partly} layers ran in only some of the runs; their times are spread over all runs",) if partly else ()
    return Found("exportProfile", times, runs=runs, notes=notes)


def _calls(entry: _Entry, runs: int | None) -> float:
    """Calls a run; 1 where the file cannot tell."""
    return entry.total / entry.mean / runs if entry.total and entry.mean and runs else 1.0


def _time(entry: _Entry, runs: int | None) -> Time:
    total, mean = entry.total or 0.0, entry.mean or 0.0
    median = None if entry.median is None else entry.median * 1e3
    ratio = total / mean / runs if runs and mean else 1.0
    name = entry.name or ""
    if 0.75 < ratio < 1.5 or not runs:
        return Time(name, mean * 1e3, median, total * 1e3)
    calls = max(round(ratio), 1)
    return Time(name, total / runs * 1e3, None if median is None else median * calls, total * 1e3, calls)


def _unescaped(text: str) -> list[_Entry]:
    """Entries whose names hold bare quotes, backslashes or control bytes, or whose numbers are nan: the writer escapes nothing."""
    count, name = COUNT.search(text[:4096]), NAME.search(text)
    entries = [_Entry(count=int(count[1]))] if count else []
    end = len(text)
    for numbers in AFTER_NAME.finditer(text):
        if name is None or numbers.start() < name.end():
            continue
        total, mean, median = (_number(numbers[key]) for key in ("total", "mean", "median"))
        entries.append(_Entry(text[name.end() : numbers.start()], total, mean, median))
        end = numbers.end()
        name = NAME.search(text, end, end + 64)
    return entries if text[end:].strip() == "]" else []


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if value - value == 0 else None


export_profile = Source(re.compile(rb'"timeMs"|^\s*\[\s*\{\s*"count"\s*:\s*\d+\s*\}'), parse)
