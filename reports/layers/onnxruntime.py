"""ONNX Runtime's profile (Chrome trace events) -> ranked layers."""

from __future__ import annotations

from reports.layers.join import join
from reports.layers.layer import Layer
from reports.layers.rank import rank
from reports.layers.sources import onnxruntime_trace


def layers(trace: bytes, skip_runs: int = 0) -> tuple[Layer, ...]:
    """Ranked layers of one model's trace, microseconds a run, the first `skip_runs` runs left out.

    Nodes inside the body of a Loop, If or Scan are left out: their time is already in that node's own event.
    Raises UserError when the text is not such a trace or holds no run after the skipped ones.
    """
    found = onnxruntime_trace.read(trace, skip_runs)
    return rank(join(found.times, found.described).rows)
