"""LayerNorm over the last dimension, float32 statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.kernel import Tensor, Tolerance

DIMS = ("rows", "cols")
INPUTS = (
    Tensor("x", ("rows", "cols")),
    Tensor("gamma", ("cols",), when="affine"),
    Tensor("beta", ("cols",), when="affine"),
)
OUTPUTS = (Tensor("y", ("rows", "cols")),)
OPTIONS = {"affine": (True, False)}
CONSTANTS = {"eps": 1e-5}
BUILD = ({"rows": 12288, "cols": 768}, {"rows": 8192, "cols": 8192})
TOLERANCES = {
    "fp32": Tolerance(2e-5, 2e-5, "fp32 sums of up to 16,384 terms, y of order 1"),
    "fp16": Tolerance(1e-3, 1e-3, "the output is rounded to 11 bits: half a unit is 5e-4"),
    "bf16": Tolerance(8e-3, 8e-3, "the output is rounded to 8 bits: half a unit is 4e-3"),
    "fp32/shifted": Tolerance(2e-5, 8e-3, "a float32 mean near 1e4 comes in steps of 1e-3"),
    "fp16/shifted": Tolerance(1e-3, 1.6e-2, "that step over the smallest deviation that fp16 leaves, 8 / sqrt(16,384)"),
    "fp32/constant": Tolerance(2e-5, 5e-3, "1 / sqrt(eps) = 316 magnifies the rounding of the mean"),
    "fp16/constant": Tolerance(1e-3, 5e-3, "1 / sqrt(eps) = 316 magnifies the rounding of the mean"),
}


def reference(
    x: NDArray[np.float64],
    gamma: NDArray[np.float64] | None = None,
    beta: NDArray[np.float64] | None = None,
    *,
    eps: float = 1e-5,
) -> NDArray[Any]:
    """y[rows, cols] = (x - mean) / sqrt(variance + eps) * gamma + beta, all float64."""
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred * centred).mean(axis=-1, keepdims=True)
    y: NDArray[Any] = centred / np.sqrt(variance + eps)
    return y if gamma is None or beta is None else y * gamma + beta
