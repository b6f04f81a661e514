"""The calibration and test split of an ONNX file: the user's samples, or made-up ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeAlias

import numpy as np

from common.errors import UserError
from variants.own import data
from variants.own.generate import generate
from variants.own.known import Known
from variants.variant import Array, Split, Tensors

Splits: TypeAlias = Callable[[Split], Tensors]
COUNTS = ((50_000_000, 16, 32), (200_000_000, 8, 16))
"""Samples to calibrate and to test on, by the most bytes a model may have for them."""
FEW = (4, 8)
"""Where a model is larger, or a run is taken whole."""
BYTES = 2**28
"""Of all samples of one input; there are fewer of them where they would be more."""
MOST_CALIBRATION, SHARE = 128, 3
"""Of the user's samples one in SHARE calibrates, 128 at most; the others are the test split."""


def splits(own: Known) -> Splits:
    """Both splits; what is made up is made when first asked for."""
    return _given(own) if own.arrays else _made_up(own)


def _given(own: Known) -> Splits:
    first = first_tested(own)
    end = first or None  # with too few samples for two splits, all are both

    def inputs(split: Split) -> Tensors:
        rows = slice(0, end) if split == "calibration" else slice(first, None)
        return {name: array[rows] for name, array in own.arrays.items()}

    return inputs


def first_tested(own: Known) -> int:
    """Index of the user's first test sample; those before it calibrate. 0 where there are too few for two splits."""
    unit = (own.layout.only or 1) if own.layout.batched else 1
    count = len(next(iter(own.arrays.values())))
    return min(count // SHARE, MOST_CALIBRATION) // unit * unit


def expected(own: Known, path: Path) -> dict[str, Array]:
    """The user's reference outputs of the test split. Raises UserError where they do not fit the model or the inputs."""
    option = "--reference"
    arrays = data.matched(path, data.load(path, option), own.outputs, option)
    count = len(next(iter(own.arrays.values())))
    if not own.layout.batched and count == 1 and all(arrays[port.name].ndim == len(port.shape or ()) for port in own.outputs):
        arrays = {name: array[None] for name, array in arrays.items()}
    data.rows(path, arrays, option, count)
    for port in own.outputs:
        declared = (port.shape or ())[1 if own.layout.batched else 0 :]
        have = arrays[port.name].shape[1:]
        fits = len(have) == len(declared) and all(not isinstance(dim, int) or dim == size for dim, size in zip(declared, have, strict=True))
        if port.shape is not None and not fits:
            raise UserError(
                f"{option} {path}: '{port.name}' is {list(have)} a sample, the model gives {list(declared)}; give its own outputs"
            )
    return {name: array[first_tested(own) :] for name, array in arrays.items()}


def _made_up(own: Known) -> Splits:
    calibration, test = counts(own)

    @cache
    def drawn() -> dict[str, Array]:
        shapes = {port.name: own.shape(port, calibration + test) for port in own.inputs}
        try:
            return generate(own.inputs, shapes, own.limits)
        except UserError as error:
            raise UserError(f"{own.path}: {error}") from error

    def inputs(split: Split) -> Tensors:
        rows = slice(0, calibration) if split == "calibration" else slice(calibration, None)
        return {name: array[rows] for name, array in drawn().items()}

    return inputs


def counts(own: Known) -> tuple[int, int]:
    """Made-up samples to calibrate and to test on: whole batches where the batch is fixed."""
    size = sum(file.stat().st_size for file in own.files)
    calibration, test = next(((low, high) for limit, low, high in COUNTS if size < limit and own.layout.batched), FEW)
    sample = max(int(np.prod(own.shape(port, 1))) * np.dtype(port.dtype).itemsize for port in own.inputs)
    fewer = max(1, -(-(calibration + test) * sample // BYTES))
    unit = (own.layout.only or 1) if own.layout.batched else 1
    return tuple(-(-max(1, count // fewer) // unit) * unit for count in (calibration, test))  # type: ignore[return-value]
