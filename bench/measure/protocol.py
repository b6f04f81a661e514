"""Fresh loads, warm-up, interleaved blocks and when to stop: how long a case is timed, and why that long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import TypeAlias

import numpy as np

from bench.measure.clock import Block, time_block
from bench.phases import Phases
from reports.statistics import block_medians, median_interval, speedup

Call: TypeAlias = Callable[[], object]
Load: TypeAlias = Callable[[], Call]


@dataclass(frozen=True, slots=True)
class Protocol:
    """Seconds and counts of one measurement.

    Both plans are loaded afresh at least `loads` times, because where a load lands in memory shifts its times by
    half a per cent or more (measured: docs/measuring.md). The first load is warmed up until its times settle, later
    ones for `rewarm_s`, enough to touch their memory. After each load, pairs of blocks, at least two, are timed
    for `load_s`; a block holds as many runs as fill `block_s`. It ends when the 95 % intervals of the median and
    of the paired ratio are within +-`precision`, or `cap_s` after it began. Other work on the core is noted when it
    took more than the share `others` of the timed seconds.
    """

    warmup_s: float = 0.2
    rewarm_s: float = 0.05
    warmup_cap_s: float = 2.0
    settled: float = 0.02
    block_s: float = 0.02
    load_s: float = 0.2
    loads: int = 5
    precision: float = 0.005
    cap_s: float = 3.0
    others: float = 0.03


@dataclass(frozen=True, slots=True)
class Samples:
    """Raw samples in microseconds of the two sides, block by block in time order, blocks a load, and what was not ideal."""

    candidate: tuple[Block, ...]
    baseline: tuple[Block, ...]
    loads: tuple[int, ...]
    notes: tuple[str, ...]


def warm_up(call: Call, protocol: Protocol) -> bool:
    """Run until two windows in a row agree within `settled`; False when the cap came first."""
    before, spent = float("nan"), 0.0
    while True:
        block = time_block(call, protocol.warmup_s / 2)
        now, spent = float(np.median(block)), spent + sum(block) / 1e6
        if spent >= protocol.warmup_s and abs(now / before - 1) < protocol.settled:
            return True
        if spent >= protocol.warmup_cap_s:
            return False
        before = now


def measure(sides: tuple[Load, Load], protocol: Protocol, phases: Phases) -> Samples:
    """Time candidate and baseline in turn, A B B A, so that drift of the machine falls on both alike.

    Stopping looks at intervals, never at the standard deviation, which does not shrink with samples.
    """
    blocks: tuple[list[Block], list[Block]] = ([], [])
    loads: list[int] = []
    settled, begin, timed, computed = True, perf_counter(), 0.0, 0.0
    while True:
        with phases("warm-up"):
            calls = _load(sides, first=len(loads) % 2)
            for call in calls:
                if loads:
                    time_block(call, protocol.rewarm_s)
                else:
                    settled &= warm_up(call, protocol)
        with phases("measure"):
            at, used = perf_counter(), process_time()
            loads.append(_pairs(calls, blocks, protocol))
            timed, computed = timed + perf_counter() - at, computed + process_time() - used
        del calls
        if len(loads) >= protocol.loads and (_precise(blocks, loads, protocol) or perf_counter() - begin >= protocol.cap_s):
            break
    notes = [] if settled else [f"unsettled: medians still moved after {protocol.warmup_cap_s:g} s of warm-up"]
    if not _precise(blocks, loads, protocol):
        notes.append(f"stopped by the {protocol.cap_s:g} s cap before ±{protocol.precision * 100:g} % was reached")
    if computed < (1 - protocol.others) * timed:
        notes.append(f"busy: other work took {1 - computed / timed:.0%} of the core while it was timed")
    return Samples(tuple(blocks[0]), tuple(blocks[1]), tuple(loads), tuple(notes))


def _load(sides: tuple[Load, Load], first: int) -> tuple[Call, Call]:
    """Both sides loaded, in alternating order: the first one finds another heap than the second."""
    if first == 0:
        return sides[0](), sides[1]()
    other = sides[1]()
    return sides[0](), other


def _pairs(calls: tuple[Call, Call], blocks: tuple[list[Block], list[Block]], protocol: Protocol) -> int:
    begin, count = perf_counter(), 0
    while count < 2 or count % 2 or perf_counter() - begin < protocol.load_s:
        for side in (0, 1) if count % 2 == 0 else (1, 0):
            blocks[side].append(time_block(calls[side], protocol.block_s))
        count += 1
    return count


def _precise(blocks: tuple[list[Block], list[Block]], loads: list[int], protocol: Protocol) -> bool:
    median = median_interval(block_medians(blocks[0]), loads)
    return max(median.half_width, speedup(*blocks, loads).half_width) <= protocol.precision
