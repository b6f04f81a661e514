"""One engine's profile: its ranked layers and what the sources say about the whole."""

from __future__ import annotations

import msgspec

from reports.layers.layer import Layer


class Profile(msgspec.Struct, frozen=True):
    """What one or several files of one engine say together.

    `title` names it in tables; `sources` are (path, kind of file) in the order read. `runs` is how many runs were profiled.
    `sum_us` is the sum of the layers' mean times a run; `latencies_us` are the samples of whole runs (GPU compute time,
    microseconds) where a source holds them, `latency_us` their median or the source's own; `enqueue_us` is the
    median time that the host takes to enqueue a run. `unmatched` is the share (0..1) of the
    profiled time whose layers the layer info does not name, None where there was nothing to join. `version` is TensorRT's, as in
    "10.16.1". `notes` say in one sentence each what the reader must know (streams, zero times, several optimisation profiles).
    """

    title: str
    layers: tuple[Layer, ...]
    sources: tuple[tuple[str, str], ...] = ()
    runs: int | None = None
    sum_us: float | None = None
    latency_us: float | None = None
    latencies_us: tuple[float, ...] = ()
    unmatched: float | None = None
    enqueue_us: float | None = None
    version: str = ""
    notes: tuple[str, ...] = ()
