"""Attention: softmax(scale * q k^T + mask) v for head size 64, an additive mask over the keys."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.kernel import Tensor, Tolerance

DIMS = ("batch", "heads", "seq", "width")
_HEADS = ("batch", "heads", "seq", "width")
INPUTS = (
    Tensor("q", _HEADS),
    Tensor("k", _HEADS),
    Tensor("v", _HEADS),
    Tensor("mask", ("batch", "seq"), when="masked"),
)
OUTPUTS = (Tensor("y", _HEADS),)
OPTIONS = {"masked": (True, False)}
CONSTANTS = {"scale": 0.125}
BUILD = (
    {"batch": 8, "heads": 12, "seq": 197, "width": 64},
    {"batch": 8, "heads": 12, "seq": 384, "width": 64},
)
TOLERANCES = {
    "fp32": Tolerance(1e-4, 1e-5, "two float32 products of 64 and seq terms around the softmax"),
    "fp16": Tolerance(4e-3, 2e-3, "probabilities are rounded to 11 bits before the second product"),
    "bf16": Tolerance(2e-2, 1.6e-2, "probabilities are rounded to 8 bits before the second product"),
}


def reference(
    q: NDArray[np.float64],
    k: NDArray[np.float64],
    v: NDArray[np.float64],
    mask: NDArray[np.float64] | None = None,
    *,
    scale: float = 0.125,
) -> NDArray[Any]:
    """q, k, v [batch, heads, seq, width] and mask [batch, seq], float64; -inf hides a key.

    A row whose keys are all hidden is NaN, as the quotient of two zeros.
    """
    scores = scale * np.matmul(q, np.swapaxes(k, -1, -2))
    if mask is not None:
        scores = scores + mask[:, None, None, :]
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True, initial=-np.inf))
    result: NDArray[Any] = np.matmul(powers / powers.sum(axis=-1, keepdims=True), v)
    return result
