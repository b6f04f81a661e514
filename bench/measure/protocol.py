"""Warm-up, interleaved blocks and when to stop: how long a case is timed, and why that long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.measure.clock import Block, time_block
from reports.statistics import block_medians, median_interval

Call = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Protocol:
    """Seconds and counts of one measurement.

    A block holds as many runs as fill `block_s`. Pairs of blocks are timed until the 95 % intervals of the median
    and of the paired ratio are within +-`precision`, looked at after `pairs` of them; `cap_s` ends it in any case,
    once the first of `pairs` is reached.
    """

    warmup_s: float = 0.2
    warmup_cap_s: float = 2.0
    settled: float = 0.02
    block_s: float = 0.02
    pairs: tuple[int, ...] = (10, 20, 40, 80, 160)
    precision: float = 0.005
    cap_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Samples:
    """Raw samples in microseconds of the two sides, block by block in time order, and what was not ideal."""

    candidate: tuple[Block, ...]
    baseline: tuple[Block, ...]
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


def measure(candidate: Call, baseline: Call, protocol: Protocol) -> Samples:
    """Time the two in turn, A B B A A B B A ..., so that drift of the machine falls on both alike.

    Stopping looks at intervals, never at the standard deviation, which does not shrink with samples.
    """
    notes = []
    sides: tuple[list[Block], list[Block]] = ([], [])
    spent_us = 0.0
    while len(sides[0]) < protocol.pairs[-1]:
        order = (0, 1) if len(sides[0]) % 2 == 0 else (1, 0)
        for side in order:
            block = time_block((candidate, baseline)[side], protocol.block_s)
            sides[side].append(block)
            spent_us += sum(block)
        count = len(sides[0])
        if count in protocol.pairs and _precise(sides, protocol.precision):
            break
        if count >= protocol.pairs[0] and spent_us >= protocol.cap_s * 1e6:
            notes.append(f"stopped by the {protocol.cap_s:g} s cap before +-{protocol.precision:.1%} was reached")
            break
    else:
        notes.append(f"stopped after {protocol.pairs[-1]} pairs before +-{protocol.precision:.1%} was reached")
    return Samples(tuple(sides[0]), tuple(sides[1]), tuple(notes))


def _precise(sides: tuple[list[Block], list[Block]], precision: float) -> bool:
    medians = [block_medians(side) for side in sides]
    ratio = median_interval(medians[0] / medians[1])
    return median_interval(medians[0]).half_width <= precision and ratio.half_width <= precision
