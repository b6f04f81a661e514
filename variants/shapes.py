"""The inputs of a variant at another setting of its dynamic dimensions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common.errors import UserError
from variants.variant import BATCH, Array, Sizes, Split, Tensors, Variant


def timed(variant: Variant, batch: int) -> dict[str, int]:
    """The setting that is timed: the batch, and the best of every range."""
    return {BATCH: batch, **{name: best for name, (_, best, _) in variant.ranges.items() if name != BATCH}}


def described(sizes: Sizes) -> str:
    """Such as "batch 2, sequence 40"."""
    return ", ".join(f"{name} {size}" for name, size in sizes.items())


def refuse_outside(variant: Variant, sizes: Sizes) -> None:
    """Raises UserError naming the first dimension that is outside its range."""
    for name, size in sizes.items():
        low, _, high = variant.ranges.get(name, (1, 1, size))
        if not low <= size <= high:
            raise UserError(f"{name} {size} is outside its range of {low} to {high}; choose one inside it")


def free_axes(variant: Variant, name: str) -> dict[int, str]:
    """The dynamic dimensions of an input or output by its axis, the batch included."""
    return {0: BATCH, **variant.axes.get(name, {})}


def inputs_at(variant: Variant, sizes: Sizes) -> dict[str, Array]:
    """Inputs at `sizes` (what it does not name is the best of its range): the variant's own, else the test inputs cut or repeated."""
    wanted = timed(variant, variant.only_batch or 1) | dict(sizes)
    refuse_outside(variant, wanted)
    if variant.at is not None:
        return dict(variant.at(wanted))
    return {name: _fitted(array, free_axes(variant, name), wanted) for name, array in variant.inputs("test").items()}


def resized_inputs(variant: Variant, sizes: Sizes, split: Split) -> Tensors:
    """A whole split at other `sizes`; where the variant makes its own inputs, both splits are rows of one draw."""
    counts = {kind: len(next(iter(variant.inputs(kind).values()))) for kind in ("calibration", "test")}
    if variant.at is None:
        return {name: _fitted(array, variant.axes.get(name, {}), sizes) for name, array in variant.inputs(split).items()}
    first = 0 if split == "calibration" else counts["calibration"]
    drawn = variant.at(dict(sizes) | {BATCH: sum(counts.values())})
    return {name: array[first : first + counts[split]] for name, array in drawn.items()}


def _fitted(array: Array, axes: Mapping[int, str], sizes: Sizes) -> Array:
    for axis, dimension in axes.items():
        array = np.take(array, np.arange(sizes[dimension]) % array.shape[axis], axis)
    return np.ascontiguousarray(array)
