"""Activation ranges for symmetric quantisation, from real inputs: min-max, percentile, entropy and mean square error.

The inputs go through the model in small pieces, twice: once for the largest magnitudes, once into histograms of them. So
what is held is one piece's activations and 2,048 counts a tensor, however many inputs there are.

Our own because ONNX Runtime 1.31's entropy calibrator keeps every threshold at 128 bins (so it never clips) and
takes a minute for 88 tensors at 2,048.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import onnx

from common.errors import UserError
from variants.heavy import save
from variants.lowering.calibration_data import check
from variants.variant import Array, Tensors

if TYPE_CHECKING:
    import onnxruntime

Counts: TypeAlias = npt.NDArray[np.float64]
Threshold: TypeAlias = Callable[[Counts, float], float]

BINS = 2048
LEVELS = 128
BATCH = 8
STRIDE = 8
"""Bins between two clips that the mean square error is asked of: 0.4 % of the largest magnitude."""


class Range(msgspec.Struct, frozen=True):
    """One tensor is quantised over -limit..limit, in the tensor's own unit.

    Where there are `factors`, one a channel of the last axis, the tensor is divided by them before (variants/lowering/smooth.py), and
    `limit` is of what comes of that.
    """

    tensor: str
    limit: float
    factors: tuple[float, ...] = ()


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


def mse(counts: Counts, largest: float) -> float:
    """The clip of least mean square error of 8-bit rounding and clipping together, as in NVIDIA's pytorch-quantization.

    Every value counts as the middle of its bin; clips below 128 bins are not asked.
    """
    middles = (np.arange(BINS) + 0.5) * largest / BINS
    clips = np.arange(LEVELS, BINS + 1, STRIDE) * largest / BINS
    errors = [float(counts @ (middles - _rounded(middles, clip)) ** 2) for clip in clips]
    return float(clips[int(np.argmin(errors))])


def _rounded(values: Counts, clip: float) -> Counts:
    scale = clip / (LEVELS - 1)
    return np.minimum(np.rint(values / scale), LEVELS - 1) * scale


def calibrate(model: onnx.ModelProto, tensors: Sequence[str], inputs: Tensors, threshold: Threshold) -> Ranges:
    """Run `inputs` (named arrays [n, ...]) through `model` on the CPU twice and give each of `tensors` its range.

    A tensor that is never anything but zero has no scale and gets no range: what reads it stays out of int8. Raises
    UserError when one is not finite.
    """
    largest = dict.fromkeys(tensors, 0.0)
    for name, values in activations(model, tensors, inputs):
        largest[name] = float(np.maximum(largest[name], np.abs(values).max()))
    for name, value in largest.items():
        if not np.isfinite(value):
            raise UserError(f"calibration: tensor '{name}' has largest magnitude {value}; keep its node out of int8")
    moving = [name for name in tensors if largest[name] > 0]
    counts = {name: np.zeros(BINS) for name in moving}
    for name, values in activations(model, moving, inputs):
        counts[name] += np.histogram(np.abs(values), BINS, (0, largest[name]))[0]
    return tuple(Range(name, threshold(counts[name], largest[name])) for name in moving)


def activations(model: onnx.ModelProto, tensors: Sequence[str], inputs: Tensors) -> Iterator[tuple[str, Array]]:
    """The values of `tensors`, piece by piece of the inputs. Raises UserError naming the input that is not as the model has it."""
    check(model, inputs)
    widened = onnx.ModelProto()
    widened.CopyFrom(model)
    present = {value.name for value in (*model.graph.output, *model.graph.input)}
    widened.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors if name not in present)
    session = _session(widened)
    computed = [name for name in tensors if name not in inputs]
    count, fixed = len(next(iter(inputs.values()))), _fixed_batch(model)
    whole = any(len(port.shape) < inputs[port.name].ndim for port in session.get_inputs())
    for start in range(0, count, 1 if whole else fixed or BATCH):
        rows = start if whole else np.arange(start, start + fixed) % count if fixed else slice(start, start + BATCH)
        feeds = {name: np.asarray(array[rows]) for name, array in inputs.items()}
        yield from ((name, feeds[name]) for name in tensors if name in feeds)
        if computed:  # asked for nothing, a session answers with everything
            yield from zip(computed, session.run(computed, feeds), strict=True)


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "widened.onnx"
        save(model, file)
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _fixed_batch(model: onnx.ModelProto) -> int:
    """The only batch that the model takes, 0 where it is free; pieces of it are filled up with the first inputs again."""
    dims = [value.type.tensor_type.shape.dim for value in model.graph.input]
    return int(dims[0][0].dim_value) if dims and dims[0] else 0
