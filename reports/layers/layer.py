"""The one row that every profile source is turned into."""

from __future__ import annotations

import msgspec

GROUPS = ("attention", "LayerNorm", "GELU", "matrix products", "convolution", "data movement", "other")


class Layer(msgspec.Struct, frozen=True):
    """One layer of a profile, ranked by its share of the time.

    Times are microseconds a run; `share` and `cumulative` are fractions (0..1) of the sum of all layers,
    which is not the latency: the profiler changes what it times.
    """

    rank: int
    name: str
    operator: str
    group: str
    mean_us: float
    median_us: float
    share: float
    cumulative: float
    calls: int = 1
