"""trtexec console log"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from common.errors import UserError
from reports.layers.found import Found, Source, Time
from reports.layers.sources._numbers import MOST_RUNS, milliseconds
from reports.layers.sources.inspector_text import described

STAMP = re.compile(r"^\[\d\d/\d\d/\d{4}-\d\d:\d\d:\d\d\] \[([VIWEF])\] ?")
VERDICT = re.compile(r"^&&&& (RUNNING|PASSED|FAILED) TensorRT\.trtexec(?: \[TensorRT v(\d+)\])?")
PROFILE = re.compile(r"^=== Profile \((\d+) iterations ?\) ===")
METRIC = re.compile(r"(min|max|mean|median|percentile\(\d+(?:\.\d+)?%\)) ?= ?([\d.e+-]+|-?nan) ms")
OLD_METRIC = re.compile(r"^(min|max|mean|median): ([\d.e+-]+) ms")
NUMBER = re.compile(r"^-?(?:\d+\.?\d*(?:e[-+]?\d+)?|nan|inf)%?$")
HEADER = re.compile(r"^Layer +Time ?\(ms\)|^Time ?\(ms\).* Layer$")


class _Log(msgspec.Struct):
    """What reading line by line has found so far."""

    version: str = ""
    verdict: str = ""
    error: str = ""
    summary: dict[str, dict[str, float]] = {}
    times: list[Time] = []
    runs: int | None = None
    total_us: float | None = None
    notes: list[str] = []
    warnings: list[str] = []


def parse(data: bytes) -> Found:
    """The profile table, the layer information and the performance summary, whichever the log holds.

    Raises UserError where it holds none, with the log's own first error.
    """
    lines = data.decode("utf-8", "replace").splitlines()
    log = read(lines)
    layers = described(data.decode("utf-8", "replace").split("\n")) if b"Layers:" in data else []
    compute = log.summary.get("GPU Compute Time") or log.summary.get("GPU Compute") or {}
    if not (log.times or layers or compute):
        raise UserError(_nothing(log))
    median, enqueue = compute.get("median"), log.summary.get("Enqueue Time", {}).get("median")
    return Found(
        "trtexec log",
        log.times,
        layers,
        runs=log.runs,
        latency_us=None if median is None else median * 1e3,
        enqueue_us=None if enqueue is None else enqueue * 1e3,
        version=log.version,
        notes=tuple(_notes(log)),
    )


def read(lines: Sequence[str]) -> _Log:
    """One pass over the lines; a line that means nothing is passed over."""
    log, block = _Log(), ""
    rows = iter(lines)
    for line in rows:
        stamp = STAMP.match(line)
        text = line[stamp.end() :].rstrip() if stamp else line.rstrip()
        if verdict := VERDICT.match(text):
            log.verdict, log.version = verdict[1], version(verdict[2] or "") or log.version
        elif profile := PROFILE.match(text):
            _table(log, min(int(profile[1][:15]), MOST_RUNS), rows)
        elif stamp and stamp[1] == "E" and not log.error:
            log.error = text
        elif "auxiliary streams" in text and "may not be accurate" in text:
            log.warnings.append("the engine uses auxiliary streams: layers may run in parallel, so their sum may exceed the latency")
        elif text in ("Host Latency", "Enqueue Time", "GPU Compute"):
            block = text
        elif old := OLD_METRIC.match(text):
            log.summary.setdefault(block, {})[old[1]] = milliseconds(old[2])
        elif " = " in text and (label := text.partition(": ")[0]) in SUMMARY:
            log.summary[label] = {key: milliseconds(value) for key, value in METRIC.findall(text)}
    return log


SUMMARY = ("Latency", "End-to-End Host Latency", "Enqueue Time", "H2D Latency", "GPU Compute Time", "D2H Latency")


def _table(log: _Log, runs: int, rows: Iterator[str]) -> None:
    """Rows up to `Total`: the layer comes first up to 8.5 and last from 8.6; the number of columns grew over the versions."""
    times: list[Time] = []
    layer_last, columns = True, 4
    for line in rows:
        stamp = STAMP.match(line)
        text = line[stamp.end() :].strip() if stamp else line.strip()
        if HEADER.search(text):
            layer_last, columns = text.endswith("Layer"), 4 if "Median" in text else 3
            continue
        row = _row(text, columns, layer_last)
        if row is None:
            if times and not text:
                break
            continue
        name, numbers = row
        if name == "Total":
            log.total_us = numbers[0] * 1e3
            break
        median = numbers[2] * 1e3 if columns == 4 else None
        times.append(Time(name, numbers[0] / runs * 1e3 if runs else numbers[1] * 1e3, median, numbers[0] * 1e3))
    log.times, log.runs = times, runs


def _row(text: str, columns: int, layer_last: bool) -> tuple[str, list[float]] | None:
    if not text:
        return None
    if layer_last:
        parts = text.split(None, columns)
        if len(parts) == columns:
            parts.append("")
        numbers, name = parts[:columns], parts[columns] if len(parts) > columns else None
    else:
        parts = text.rsplit(None, columns)
        numbers, name = parts[1:], parts[0]
    if name is None or len(numbers) != columns or not all(NUMBER.match(number) for number in numbers):
        return None
    return name, [milliseconds(number.rstrip("%")) for number in numbers]


def version(digits: str) -> str:
    """
    >>> version("8501"), version("101601"), version("7000"), version("110100")
    ('8.5.1', '10.16.1', '7.0.0', '11.1.0')
    """
    if len(digits) == 4:
        return f"{digits[0]}.{digits[1]}.{int(digits[2:])}"
    if len(digits) == 6:
        return f"{int(digits[:-4])}.{int(digits[-4:-2])}.{int(digits[-2:])}"
    return ""


def _notes(log: _Log) -> Iterator[str]:
    yield from dict.fromkeys(log.warnings)
    if log.verdict == "FAILED":
        yield f"trtexec FAILED{': ' + log.error if log.error else ''}"
    elif log.verdict == "RUNNING":
        yield "the log ends before trtexec did: it may be cut off"
    if not log.times:
        yield "the log holds no profile table: run trtexec with --dumpProfile --separateProfileRun for times of layers"


def _nothing(log: _Log) -> str:
    which = f"trtexec {log.version}" if log.version else "trtexec"
    if log.verdict == "FAILED":
        return f"{which} FAILED before it measured anything{' (' + log.error + ')' if log.error else ''}: mend that and run it again"
    if log.verdict == "PASSED":
        return f"{which} measured nothing here: run it with --dumpProfile --separateProfileRun and without --skipInference"
    return f"the log of {which} ends before anything was measured: run it again to its end with --dumpProfile"


trtexec_log = Source(
    re.compile(rb"TensorRT\.trtexec|=== Profile \(\d+ iterations|=== Performance summary ===|(?m:\] \[I\] Host Latency\s*$)"),
    parse,
    text=True,
    order=0,
)
