"""The one row that every profile source is turned into."""

from __future__ import annotations

import msgspec

GROUPS = (
    "attention",
    "LayerNorm",
    "GELU",
    "matrix product",
    "convolution",
    "reformat / copy",
    "Q/DQ",
    "elementwise",
    "shape",
    "other",
)


class Tensor(msgspec.Struct, frozen=True, gc=False):
    """A layer's input or output as the engine holds it.

    `precision` is FP32, TF32, FP16, BF16, FP8, INT8, INT4, INT32, INT64, BOOL... or "" where the source is silent; `format` is
    the memory layout in the source's own words. A dynamic dimension is -1.
    """

    name: str
    precision: str = ""
    format: str = ""
    shape: tuple[int, ...] = ()
    bytes: int | None = None


class Layer(msgspec.Struct, frozen=True, gc=False):
    """One layer of a profile, ranked by its share of the time.

    `type` is the kind of work (Convolution), `subtype` TensorRT's implementation of it (CaskGemmConvolution) where they differ.
    Times are microseconds a run, None where the source has none (layer info alone); `total_us` is over all profiled runs.
    `share` and `cumulative` are fractions (0..1) of the sum of all layers, which is not the latency: the profiler changes
    what it times. `nodes` are the ONNX nodes inside, `module` their common source module ("encoder/layers.3/attn");
    `operations` are floating-point operations a run where shapes give them. `position` counts from 0 in the order of execution,
    which is that of the source (the diff aligns what is left by it); 0 in all layers where that is unknown.
    """

    rank: int
    name: str
    type: str
    group: str
    mean_us: float | None = None
    median_us: float | None = None
    total_us: float | None = None
    share: float = 0.0
    cumulative: float = 0.0
    calls: int = 1
    nodes: tuple[str, ...] = ()
    module: str = ""
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    bytes_read: int | None = None
    bytes_written: int | None = None
    operations: int | None = None
    subtype: str = ""
    tactic: str = ""
    stream: int | None = None
    position: int = 0

    @property
    def intensity(self) -> float | None:
        """Operations a byte moved, None where either is unknown."""
        moved = (self.bytes_read or 0) + (self.bytes_written or 0)
        return self.operations / moved if self.operations is not None and moved else None
