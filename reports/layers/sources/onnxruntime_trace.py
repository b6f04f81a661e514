"""ONNX Runtime profile"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Annotated, TypeAlias

import msgspec

from common.errors import UserError
from reports.layers.formats import tensor
from reports.layers.found import Described, Found, Source, Time
from reports.layers.layer import Tensor
from reports.layers.operations import Attributes, operations
from reports.layers.sources.export_times import median

KERNEL = "_kernel_time"
BODIES = ("Loop", "If", "Scan", "SequenceMap")


Microseconds: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]


class _Arguments(msgspec.Struct):
    op_name: str = ""
    input_type_shape: list[dict[str, tuple[int, ...]]] = msgspec.field(default_factory=list)
    output_type_shape: list[dict[str, tuple[int, ...]]] = msgspec.field(default_factory=list)


class _Event(msgspec.Struct):
    name: str
    cat: str = ""
    dur: Microseconds = 0
    ts: Microseconds = 0
    tid: int = 0
    args: _Arguments = msgspec.field(default_factory=_Arguments)


_decoder = msgspec.json.Decoder(list[_Event])


def parse(data: bytes) -> Found:
    """All runs of the trace but the first, where there are several: it pays for what later runs reuse."""
    events = _events(data)
    runs = sum(_is_run(event) for event in events)
    found = _found(events, skip_runs=min(1, max(runs - 1, 0)))
    note = ("the first run of the trace is left out as its warm-up",) if runs > 1 else ()
    return msgspec.structs.replace(found, notes=note)


def read(data: bytes, skip_runs: int = 0) -> Found:
    """All runs beyond the first `skip_runs`. Raises UserError when the text is not such a trace or holds no run after them."""
    return _found(_events(data), skip_runs)


def _events(data: bytes) -> list[_Event]:
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"not an ONNX Runtime profile ({error}): make one with SessionOptions.enable_profiling") from error


def _is_run(event: _Event) -> bool:
    return event.cat == "Session" and event.name == "model_run"


def _found(events: list[_Event], skip_runs: int) -> Found:
    """Nodes inside the body of a Loop, If or Scan are left out: their time is already in that node's own event."""
    runs = [event for event in events if _is_run(event)][skip_runs:]
    if not runs:
        raise UserError(f"the ONNX Runtime profile holds no run beyond the first {skip_runs}: profile more runs")
    nodes = [event for event in events if event.cat == "Node" and event.name.endswith(KERNEL)]
    times, described = _layers(_outermost(nodes), runs)
    latencies = tuple(float(run.dur) for run in runs)
    return Found("ONNX Runtime profile", times, described, len(runs), median(latencies), latencies)


def _outermost(nodes: Iterable[_Event]) -> Iterator[_Event]:
    """The nodes that no body of another node holds.

    A parent starts no later than its children, ends no earlier, and is written after them. Times are cut to whole
    microseconds: a child may seem to end after its parent, or to fill it, but a sibling never starts before its end.
    """
    end: dict[int, int] = {}
    last_written_first = list(nodes)[::-1]
    for event in sorted(last_written_first, key=lambda event: event.ts):
        if event.ts < end.get(event.tid, -1):
            continue
        yield event
        if event.args.op_name in BODIES:
            end[event.tid] = max(end.get(event.tid, -1), event.ts + event.dur)


def _layers(nodes: Iterable[_Event], runs: list[_Event]) -> tuple[list[Time], list[Described]]:
    starts = [run.ts for run in runs]
    per_run: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0] * len(runs))
    calls: dict[tuple[str, str], int] = defaultdict(int)
    arguments: dict[tuple[str, str], _Arguments] = {}
    for event in nodes:
        at = bisect_right(starts, event.ts) - 1
        if at < 0 or event.ts > runs[at].ts + runs[at].dur:
            continue
        key = (event.name.removesuffix(KERNEL), event.args.op_name)
        per_run[key][at] += event.dur
        calls[key] += 1
        arguments[key] = event.args
    times = [
        Time(key[0], sum(spent) / len(runs), median(spent), sum(spent), max(round(calls[key] / len(runs)), 1))
        for key, spent in per_run.items()
    ]
    return times, [_describe(key[0], arguments[key]) for key in per_run]


def _describe(name: str, node: _Arguments) -> Described:
    inputs, outputs = _tensors(node.input_type_shape), _tensors(node.output_type_shape)
    read, written = ([one.bytes for one in tensors] for tensors in (inputs, outputs))
    return Described(
        name,
        node.op_name,
        inputs=inputs,
        outputs=outputs,
        bytes_read=sum(size or 0 for size in read) if inputs and None not in read else None,
        bytes_written=sum(size or 0 for size in written) if outputs and None not in written else None,
        operations=_operations(node.op_name, inputs, outputs),
        weighted=_by_a_matrix(node),
    )


def _operations(kind: str, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> int | None:
    if kind in ("Conv", "FusedConv") and len(inputs) > 1 and len(inputs[1].shape) > 2:
        kernel, channels = inputs[1].shape[2:], inputs[1].shape[1]
        if len(outputs) == 1 and len(inputs[0].shape) > 1 and channels:
            groups = max(inputs[0].shape[1] // channels, 1)
            return operations("Convolution", inputs[:1], outputs, Attributes(kernel, groups))
        return None
    return operations(kind, inputs[:2], outputs, Attributes())


def _tensors(entries: Iterable[dict[str, tuple[int, ...]]]) -> tuple[Tensor, ...]:
    return tuple(tensor(f"{at}", shape, kind) for at, entry in enumerate(entries) for kind, shape in entry.items())


def _by_a_matrix(node: _Arguments) -> bool:
    """Whether the second factor is at most a matrix, as weights are; `parameter_size` does not tell, being 0 once weights are prepacked."""
    ranks = [len(shape) for entry in node.input_type_shape for shape in entry.values()]
    second = 3 if node.op_name.startswith("QLinear") else 1
    return len(ranks) <= second or ranks[second] <= 2


onnxruntime_trace = Source(re.compile(rb'"cat"\s*:\s*"(?:Session|Node|Api)"'), parse)
