"""Masked softmax: softmax(scale * x + mask) over the last dimension, in one pass over memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.kernel import Tensor, Tolerance

DIMS = ("batch", "rows", "cols")
INPUTS = (
    Tensor("x", ("batch", "rows", "cols")),
    Tensor("mask", ("batch", "cols"), when="masked"),
)
OUTPUTS = (Tensor("y", ("batch", "rows", "cols")),)
OPTIONS = {"masked": (True, False)}
CONSTANTS = {"scale": 0.125}
BUILD = (
    {"batch": 8, "rows": 12 * 384, "cols": 384},
    {"batch": 8, "rows": 12 * 197, "cols": 197},
)
TOLERANCES = {
    "fp32": Tolerance(1e-5, 1e-7, "fast exponential and float32 sums of up to 16,384 terms"),
    "fp16": Tolerance(1e-3, 6e-8, "the output is rounded to 11 bits, below 6e-5 to steps of 6e-8"),
    "bf16": Tolerance(8e-3, 1e-7, "the output is rounded to 8 bits: half a unit is 4e-3"),
    "fp32/shifted": Tolerance(1e-3, 1e-7, "a float32 score near 1,800 comes in steps of 1.2e-4"),
}


def reference(
    x: NDArray[np.float64],
    mask: NDArray[np.float64] | None = None,
    *,
    scale: float = 0.125,
) -> NDArray[Any]:
    """x[batch, rows, cols] and an additive mask[batch, cols], float64; -inf hides a column."""
    scores = scale * x if mask is None else scale * x + mask[:, None, :]
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True, initial=-np.inf))
    result: NDArray[Any] = powers / powers.sum(axis=-1, keepdims=True)
    return result
