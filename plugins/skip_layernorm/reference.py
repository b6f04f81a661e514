"""Skip-LayerNorm: LayerNorm of x + bias + residual, the sum kept for pre-norm networks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.kernel import Tensor, Tolerance

DIMS = ("rows", "cols")
INPUTS = (
    Tensor("x", ("rows", "cols")),
    Tensor("residual", ("rows", "cols")),
    Tensor("bias", ("cols",)),
    Tensor("gamma", ("cols",)),
    Tensor("beta", ("cols",)),
)
OUTPUTS = (
    Tensor("y", ("rows", "cols")),
    Tensor("total", ("rows", "cols"), when="keep"),
)
OPTIONS = {"keep": (False, True)}
CONSTANTS = {"eps": 1e-5}
BUILD = ({"rows": 12288, "cols": 768},)
TOLERANCES = {
    "fp32": Tolerance(2e-5, 2e-5, "fp32 sums of up to 16,384 terms, y of order 1"),
    "fp16": Tolerance(1e-3, 1e-3, "the output is rounded to 11 bits: half a unit is 5e-4"),
    "bf16": Tolerance(8e-3, 8e-3, "the output is rounded to 8 bits: half a unit is 4e-3"),
    "fp32/shifted": Tolerance(2e-5, 1e-2, "float32 sums near 2e4 come in steps of 2e-3"),
    "fp16/shifted": Tolerance(1e-3, 3e-2, "that step over the deviation of the bias, 0.25"),
    "bf16/shifted": Tolerance(8e-3, 3e-2, "that step over the deviation of the bias, 0.25"),
    "fp32/constant": Tolerance(2e-5, 5e-3, "1 / sqrt(eps) = 316 magnifies the rounding of the mean"),
}


def reference(
    x: NDArray[np.float64],
    residual: NDArray[np.float64],
    bias: NDArray[np.float64],
    gamma: NDArray[np.float64],
    beta: NDArray[np.float64],
    *,
    eps: float = 1e-5,
) -> dict[str, NDArray[Any]]:
    """total = x + bias + residual and y = LayerNorm(total) * gamma + beta, all float64."""
    total = x + bias + residual
    centred = total - total.mean(axis=-1, keepdims=True)
    variance = (centred * centred).mean(axis=-1, keepdims=True)
    return {"y": centred / np.sqrt(variance + eps) * gamma + beta, "total": total}
