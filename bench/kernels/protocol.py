"""Time all contenders of one problem in turns: cold buffers, k launches a graph, block samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from bench.kernels.clocks import Watch
from bench.kernels.contenders import (
    Absent,
    Contender,
    buffers,
    copies,
    peers,
    truth,
    version,
)
from bench.kernels.measurement import Timed, Timing
from bench.kernels.shapes import Row
from bench.kernels.stats import median_interval
from plugins.device import Device
from plugins.kernel import Family, Kernel

_CUDA: Any = torch.cuda  # its Stream and Event carry no types


@dataclass(frozen=True, slots=True)
class Protocol:
    """Buffers rotate over `cold` times L2; a graph lasts `graph_ms` or more, a block `block_ms`.

    Blocks go on from `blocks` to `most_blocks` until every 95 % interval is within `target`.
    """

    cold: float = 2.2
    graph_ms: float = 1.0
    block_ms: float = 2.0
    warm_ms: float = 200.0
    blocks: int = 30
    most_blocks: int = 60
    target: float = 0.005
    with_peers: bool = True
    with_plain: bool = True


@dataclass(frozen=True, slots=True)
class Captured:
    """A contender as a CUDA graph; `kept` are outputs that its launches write."""

    contender: Contender
    graph: Any
    kept: list[Any]
    worst: float


def time_row(
    device: Device,
    family: Family,
    versions: Sequence[Kernel],
    row: Row,
    protocol: Protocol,
) -> Timed:
    """All versions, the copy and the peers on one problem; wrong or absent ones carry the reason."""
    problem = row.problem
    moved = family.bytes_moved(problem)
    l2 = torch.cuda.get_device_properties(0).L2_cache_size
    sets = max(2, math.ceil(protocol.cold * l2 / moved))
    tensors = buffers(family, problem, sets)
    floor = copies(problem, family, sets)
    launches = sets * max(1, math.ceil(protocol.graph_ms * 1e3 / _rough_us(floor, sets) / sets))
    field: list[Contender | Absent] = [floor]
    field += [version(device, kernel, problem, tensors) for kernel in versions]
    if protocol.with_plain:
        early = [c.name for c in field if isinstance(c, Contender) and c.pdl]
        field += [version(device, k, problem, tensors, False) for k in versions if k.name in early]
    field += peers(family, problem, tensors) if protocol.with_peers else []
    exact = truth(family, problem, tensors[0])
    captured: list[Captured] = []
    absent = [c for c in field if isinstance(c, Absent)]
    for contender in (c for c in field if isinstance(c, Contender)):
        got = _capture(contender, exact, family, row, (sets, launches))
        (captured if isinstance(got, Captured) else absent).append(got)  # type: ignore[arg-type]
    with Watch() as watch:
        samples = _blocks(captured, launches, protocol)
    timings = [
        Timing(c.contender.name, c.contender.kind, tuple(s), "", c.worst, c.contender.pdl) for c, s in zip(captured, samples, strict=True)
    ] + [Timing(a.name, a.kind, (), a.reason) for a in absent]
    return Timed(
        family=family.name,
        problem=problem.id,
        where=row.where,
        dims=dict(problem.dims),
        dtype=problem.dtype,
        bytes_moved=moved,
        launches_per_graph=launches,
        buffer_sets=sets,
        timings=tuple(timings),
        clocks=watch.clocks,
    )


def _capture(
    contender: Contender,
    exact: tuple[Any, ...],
    family: Family,
    row: Row,
    plan: tuple[int, int],
) -> Captured | Absent:
    """Correctness before the clock: check one launch, then capture `launches` of them."""
    sets, launches = plan
    worst = 0.0
    stream = _CUDA.Stream()
    with torch.cuda.stream(stream):
        try:
            contender.launch(0)
        except Exception as error:
            reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            return Absent(contender.name, contender.kind, reason)
        if contender.output is not None:
            stream.synchronize()
            worst = _worst(contender.output(), exact, family, row)
        # torch rounds what it hands from one kernel to the next to 16 bits; that is its nature.
        if worst > (4 if contender.kind == "peer" else 1):
            reason = f"wrong: {worst:.3g} times the tolerance; not timed"
            return Absent(contender.name, contender.kind, reason)
        for i in range(1, min(sets, 3)):
            contender.launch(i)
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        kept: list[Any] = []
        with torch.cuda.graph(graph, stream=stream):
            kept = [contender.launch(i % sets) for i in range(launches)]
    return Captured(contender, graph, kept, worst)


def _worst(got: tuple[Any, ...], exact: tuple[Any, ...], family: Family, row: Row) -> float:
    """Largest error in units of the tolerance; infinite if anything is not a number."""
    tolerance = family.tolerance(row.problem.dtype, "random")
    worst = 0.0
    for mine, true in zip(got, exact, strict=False):
        room = tolerance.atol + tolerance.rtol * true.abs()
        unit = ((mine.double() - true).abs() / room).max().item()
        worst = max(worst, unit if math.isfinite(unit) else math.inf)
    return worst


def _rough_us(floor: Contender, sets: int) -> float:
    start, end = (_CUDA.Event(enable_timing=True) for _ in range(2))
    graph = torch.cuda.CUDAGraph()
    floor.launch(0)
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        for i in range(sets):
            floor.launch(i)
    graph.replay()
    start.record()
    graph.replay()
    end.record()
    end.synchronize()
    return max(0.5, float(start.elapsed_time(end)) * 1e3 / sets)


def _blocks(captured: Sequence[Captured], launches: int, protocol: Protocol) -> list[list[float]]:
    """Block samples, microseconds a launch; odd rounds run in the opposite order (ABBA)."""
    replays = [_replays(c, protocol) for c in captured]
    samples: list[list[float]] = [[] for _ in captured]
    for number in range(protocol.most_blocks):
        order = range(len(captured)) if number % 2 == 0 else reversed(range(len(captured)))
        events = [(i, _timed_replays(captured[i].graph, replays[i])) for i in order]
        torch.cuda.synchronize()
        for i, (start, end) in events:
            samples[i].append(start.elapsed_time(end) * 1e3 / (replays[i] * launches))
        if number + 1 >= protocol.blocks and number % 10 == 9:
            widest = max(median_interval(s, 200).relative_width for s in samples)
            if widest <= protocol.target:
                break
    return samples


def _replays(captured: Captured, protocol: Protocol) -> int:
    """Replays that fill a block; warms up on the way."""
    start, end = _timed_replays(captured.graph, 2)
    end.synchronize()
    one_ms = max(0.05, float(start.elapsed_time(end)) / 2)
    for _ in range(math.ceil(protocol.warm_ms / 8 / one_ms)):
        captured.graph.replay()
    return max(1, math.ceil(protocol.block_ms / one_ms))


def _timed_replays(graph: Any, count: int) -> tuple[Any, Any]:
    start, end = (_CUDA.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(count):
        graph.replay()
    end.record()
    return start, end
