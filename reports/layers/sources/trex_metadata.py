"""TREx's *.profile.metadata.json: a trtexec log's summary"""

from __future__ import annotations

import re
from typing import Any

from common.errors import UserError
from reports.layers.found import Found, Source
from reports.layers.sources._json import anything
from reports.layers.sources._numbers import milliseconds

WHAT = "TREx's metadata"
MEDIAN = 3
"""TREx keeps min, max, mean, median and then the percentiles."""


def parse(data: bytes) -> Found:
    """The median GPU compute and enqueue times. Raises UserError for build metadata and device lists: nothing was measured there."""
    content = anything(data, WHAT)
    summary: Any = content.get("performance_summary") if isinstance(content, dict) else None
    if not isinstance(summary, dict) or not summary:
        raise UserError("is TREx's description of a build or a device: it holds no times and no layers; give the .profile.json beside it")
    latency = _median(summary.get("GPU Compute Time"))
    if latency is None:
        raise UserError("is TREx's metadata without a GPU Compute Time: give the .profile.json beside it")
    return Found("TREx metadata", latency_us=latency, enqueue_us=_median(summary.get("Enqueue Time")))


def _median(values: Any) -> float | None:
    if isinstance(values, list) and len(values) > MEDIAN and isinstance(values[MEDIAN], int | float):
        return milliseconds(values[MEDIAN]) * 1e3
    return None


trex_metadata = Source(
    re.compile(
        rb'^\s*\{\s*"(?:performance_summary|model_options|build_options)"\s*:|^\s*\[\s*\{\s*"Name"\s*:\s*"[^"]*"\s*,\s*"ComputeCapability"'
    ),
    parse,
)
