"""What one file says, before files are joined: times, descriptions, whole-run latencies."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from reports.layers.layer import Tensor


class Time(msgspec.Struct, gc=False):
    """One layer as its source timed it: microseconds a run, `total_us` over all runs, `calls` a run."""

    name: str
    mean_us: float
    median_us: float | None = None
    total_us: float | None = None
    calls: int = 1


class Described(msgspec.Struct, gc=False):
    """One layer as the engine describes it; everything but the name may be unknown.

    `metadata` is TensorRT's, as written; `origin` says why a reformat is there (QDQ, REFORMAT). `weighted` is False where a
    matrix product multiplies two activations, None where that is not known.
    """

    name: str
    type: str = ""
    subtype: str = ""
    metadata: str = ""
    origin: str = ""
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    bytes_read: int | None = None
    bytes_written: int | None = None
    operations: int | None = None
    tactic: str = ""
    stream: int | None = None
    weighted: bool | None = None


class Found(msgspec.Struct):
    """Everything one file holds. `kind` is its source's label; an empty list means that the file does not speak of that."""

    kind: str
    times: list[Time] = []
    described: list[Described] = []
    runs: int | None = None
    latency_us: float | None = None
    latencies_us: tuple[float, ...] = ()
    enqueue_us: float | None = None
    version: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """One kind of file.

    `marks` is what its first bytes or, for text, some line holds; the kind of the lowest `order` wins where several match.
    `parse` raises UserError without the path.
    """

    marks: re.Pattern[bytes]
    parse: Callable[[bytes], Found]
    text: bool = False
    order: int = 1
