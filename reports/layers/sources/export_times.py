"""trtexec --exportTimes"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from common.errors import UserError
from reports.layers.found import Found, Source
from reports.layers.sources._json import decode
from reports.layers.sources._numbers import milliseconds

WHAT = "trtexec's --exportTimes"


class _Run(msgspec.Struct, gc=False):
    compute: float | None = msgspec.field(name="computeMs", default=None)
    start_enqueue: float | None = msgspec.field(name="startEnqMs", default=None)
    end_enqueue: float | None = msgspec.field(name="endEnqMs", default=None)
    start_in: float | None = msgspec.field(name="startInMs", default=None)
    end_in: float | None = msgspec.field(name="endInMs", default=None)


_decoder = msgspec.json.Decoder(list[_Run])


def parse(data: bytes) -> Found:
    """GPU compute time of every run, microseconds, by computeMs; end - start would lose up to 4 % to six-digit timestamps.

    Enqueue times are differences all the same, the only form they have. 7.2 writes them under the names of the input copy.
    """
    runs = decode(data, _decoder.decode, WHAT)
    compute = [milliseconds(run.compute) * 1e3 for run in runs if run.compute is not None]
    if not compute:
        raise UserError(f"holds no computeMs, so it is no use as {WHAT}: export it again with more --iterations")
    spans = [(start, end) for start, end in map(_enqueue, runs) if start is not None and end is not None]
    enqueue = [milliseconds(end - start) * 1e3 for start, end in spans]
    return Found(
        "exportTimes",
        latency_us=median(compute),
        latencies_us=tuple(compute),
        enqueue_us=median(enqueue) if enqueue else None,
    )


def _enqueue(run: _Run) -> tuple[float | None, float | None]:
    swapped = run.start_in is not None and run.start_enqueue is not None
    return (run.start_in, run.end_in) if swapped else (run.start_enqueue, run.end_enqueue)


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two."""
    ordered, middle = sorted(values), len(values) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


export_times = Source(re.compile(rb'"(?:computeMs|startComputeMs|startEnqMs|startInMs)"'), parse)
