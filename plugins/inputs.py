"""Input classes that every version is checked on: each is a way in which kernels go wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from plugins.kernel import Array, Family, Problem

NUMPY: Mapping[str, Any] = {
    "fp32": np.dtype(np.float32),
    "fp16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16),
}
_SUBNORMAL: Mapping[str, float] = {"fp32": 1e-40, "fp16": 1e-6, "bf16": 1e-40}
Normal = NDArray[np.float64]


def _special(z: Normal, dtype: str) -> Normal:
    flat = z.reshape(-1, z.shape[-1]) if z.ndim > 1 else z.reshape(1, -1)
    for row, value in enumerate((np.inf, np.nan, -np.inf)):
        flat[row % len(flat), (7 * row) % flat.shape[1]] = value
    return z


def _constant(z: Normal, dtype: str) -> Normal:
    return np.broadcast_to(z[..., :1] * 3, z.shape)


# Standard normal numbers and the dtype's name to the values of the class.
CLASSES: Mapping[str, Callable[[Normal, str], Normal]] = {
    "random": lambda z, dtype: z,
    "shifted": lambda z, dtype: z + 1e4,
    "tiny": lambda z, dtype: z * 1e-4,
    "constant": _constant,
    "special": _special,
    "denormal": lambda z, dtype: z * _SUBNORMAL[dtype],
}


def make(family: Family, problem: Problem, input_class: str, rng: np.random.Generator) -> dict[str, Array]:
    """Inputs by name in the problem's dtype: data of the class, weights and masks ordinary.

    A tensor shaped like the first input is data; `mask` hides some columns by -10,000 and -inf;
    every other tensor is a weight near one.
    """
    made: dict[str, Array] = {}
    shape_of_data = family.inputs[0].dims
    for tensor in family.tensors(family.inputs, problem):
        z = rng.standard_normal([problem.dims[d] for d in tensor.dims])
        if tensor.name == "mask":
            z = np.where(z > 1.5, -1e4, np.where(z > 1.2, -np.inf, 0.0))
            z[..., :1] = 0  # every row keeps a column, where it has any
        elif tensor.dims == shape_of_data:
            z = CLASSES[input_class](z, problem.dtype) if z.size else z
        else:
            z = 1 + 0.25 * z
        made[tensor.name] = z.astype(NUMPY[problem.dtype])
    return made
