"""ONNX Runtime's profile (Chrome trace events) -> ranked layers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import msgspec
import numpy as np

from common.errors import UserError
from reports.layers.groups import Timing, rank
from reports.layers.layer import Layer

KERNEL = "_kernel_time"
BODIES = ("Loop", "If", "Scan", "SequenceMap")


class _Arguments(msgspec.Struct):
    op_name: str = ""
    input_type_shape: list[dict[str, list[int]]] = msgspec.field(default_factory=list)


class _Event(msgspec.Struct):
    name: str
    cat: str = ""
    dur: int = 0
    ts: int = 0
    tid: int = 0
    args: _Arguments = msgspec.field(default_factory=_Arguments)


def layers(trace: bytes, skip_runs: int = 0) -> tuple[Layer, ...]:
    """Ranked layers of one model's trace, microseconds a run, the first `skip_runs` runs left out.

    Nodes inside the body of a Loop, If or Scan are left out: their time is already in that node's own event.
    Raises UserError when the text is not such a trace or holds no run after the skipped ones.
    """
    try:
        events = msgspec.json.decode(trace, type=list[_Event])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UserError(f"not an ONNX Runtime profile ({error}): make one with SessionOptions.enable_profiling") from error
    runs = [event for event in events if event.cat == "Session" and event.name == "model_run"][skip_runs:]
    if not runs:
        raise UserError(f"the ONNX Runtime profile holds no run beyond the first {skip_runs}: profile more runs")
    nodes = [event for event in events if event.cat == "Node" and event.name.endswith(KERNEL)]
    return rank(_timings(_outermost(nodes), runs))


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


def _timings(nodes: Iterable[_Event], runs: list[_Event]) -> Iterator[Timing]:
    starts = np.array([run.ts for run in runs])
    per_run: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0] * len(runs))
    calls: dict[tuple[str, str], int] = defaultdict(int)
    weighted: dict[tuple[str, str], bool] = {}
    for event in nodes:
        at = int(np.searchsorted(starts, event.ts, side="right")) - 1
        if at < 0 or event.ts > runs[at].ts + runs[at].dur:
            continue
        key = (event.name.removesuffix(KERNEL), event.args.op_name)
        per_run[key][at] += event.dur
        calls[key] += 1
        weighted[key] = _by_a_matrix(event.args)
    for (name, operator), times in per_run.items():
        count = max(round(calls[name, operator] / len(runs)), 1)
        yield Timing(name, operator, float(np.mean(times)), float(np.median(times)), count, weighted[name, operator])


def _by_a_matrix(node: _Arguments) -> bool:
    """Whether the second factor is at most a matrix, as weights are; `parameter_size` does not tell, being 0 once weights are prepacked."""
    ranks = [len(shape) for entry in node.input_type_shape for shape in entry.values()]
    second = 3 if node.op_name.startswith("QLinear") else 1
    return len(ranks) <= second or ranks[second] <= 2
