"""Activation ranges for symmetric int8, from real inputs: min-max, percentile and entropy.

Our own because ONNX Runtime 1.31's entropy calibrator keeps every threshold at 128 bins (so it never clips) and
takes a minute for 88 tensors at 2,048.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import onnx

from common.errors import UserError
from variants.variant import Array, Tensors

Counts: TypeAlias = npt.NDArray[np.float64]
Threshold: TypeAlias = Callable[[Counts, float], float]

BINS = 2048
LEVELS = 128
BATCH = 32


class Range(msgspec.Struct, frozen=True):
    """One tensor is quantised over -limit..limit, in the tensor's own unit."""

    tensor: str
    limit: float


Ranges: TypeAlias = tuple[Range, ...]


def minmax(counts: Counts, largest: float) -> float:
    """The largest magnitude seen: nothing is clipped."""
    return largest


def percentile(percent: float) -> Threshold:
    """The magnitude that `percent` % of the values do not exceed, to one bin."""

    def threshold(counts: Counts, largest: float) -> float:
        covered = np.cumsum(counts) / counts.sum()
        return float(np.searchsorted(covered, percent / 100) + 1) * largest / BINS

    return threshold


def entropy(counts: Counts, largest: float) -> float:
    """The clip that loses least information: smallest KL divergence between the clipped histogram and its 128 levels.

    Migacz, "8-bit inference with TensorRT", GTC 2017, on a histogram of magnitudes. Zeros are left out, as NVIDIA's
    pytorch-quantization does: they are exact at every clip, but so many of them (ReLU, padding) outweigh all else.
    """
    counts = np.concatenate([counts[1:2], counts[1:]])
    candidates = range(LEVELS, BINS + 1)
    divergence = [_divergence(counts, bins) for bins in candidates]
    return candidates[int(np.argmin(divergence))] * largest / BINS


def _divergence(counts: Counts, bins: int) -> float:
    clipped = counts[:bins].copy()
    occupied = clipped > 0
    starts = np.arange(LEVELS) * bins // LEVELS
    width = np.maximum(np.add.reduceat(occupied, starts, dtype=np.int64), 1)
    level = np.repeat(np.add.reduceat(clipped, starts) / width, np.diff(np.append(starts, bins)))
    clipped[-1] += counts[bins:].sum()
    p, q = clipped / clipped.sum(), np.where(occupied, level, 0)
    q = q / q.sum() if q.sum() else q
    where = p > 0
    return float(np.sum(p[where] * np.log(p[where] / np.maximum(q[where], 1e-12))))


def calibrate(model: onnx.ModelProto, tensors: Sequence[str], inputs: Tensors, threshold: Threshold) -> Ranges:
    """Run `inputs` (named arrays [n, ...]) through `model` on the CPU twice and give each of `tensors` its range.

    A tensor that is never anything but zero has no scale and gets no range: what reads it stays out of int8. Raises
    UserError when one is not finite.
    """
    largest = dict.fromkeys(tensors, 0.0)
    for name, values in _activations(model, tensors, inputs):
        largest[name] = float(np.maximum(largest[name], np.abs(values).max()))
    for name, value in largest.items():
        if not np.isfinite(value):
            raise UserError(f"calibration: tensor '{name}' has largest magnitude {value}; keep its node out of int8")
    moving = [name for name in tensors if largest[name] > 0]
    counts = {name: np.zeros(BINS) for name in moving}
    for name, values in _activations(model, moving, inputs):
        counts[name] += np.histogram(np.abs(values), BINS, (0, largest[name]))[0]
    return tuple(Range(name, threshold(counts[name], largest[name])) for name in moving)


def _activations(model: onnx.ModelProto, tensors: Sequence[str], inputs: Tensors) -> Iterator[tuple[str, Array]]:
    import onnxruntime

    widened = onnx.ModelProto.FromString(model.SerializeToString())
    present = {value.name for value in (*model.graph.output, *model.graph.input)}
    widened.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors if name not in present)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(widened.SerializeToString(), options, providers=["CPUExecutionProvider"])
    computed = [name for name in tensors if name not in inputs]
    count, fixed = len(next(iter(inputs.values()))), _fixed_batch(model)
    whole = any(len(port.shape) < inputs[port.name].ndim for port in session.get_inputs())
    for start in range(0, count, 1 if whole else fixed or BATCH):
        rows = start if whole else np.arange(start, start + fixed) % count if fixed else slice(start, start + BATCH)
        feeds = {name: np.asarray(array[rows]) for name, array in inputs.items()}
        yield from ((name, feeds[name]) for name in tensors if name in feeds)
        if computed:  # asked for nothing, a session answers with everything
            yield from zip(computed, session.run(computed, feeds), strict=True)


def _fixed_batch(model: onnx.ModelProto) -> int:
    """The only batch that the model takes, 0 where it is free; pieces of it are filled up with the first inputs again."""
    dims = [value.type.tensor_type.shape.dim for value in model.graph.input]
    return int(dims[0][0].dim_value) if dims and dims[0] else 0
