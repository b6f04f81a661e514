"""Swish (SiLU): x * sigmoid(x)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.kernel import Tensor, Tolerance

DIMS = ("count",)
INPUTS = (Tensor("x", ("count",)),)
OUTPUTS = (Tensor("y", ("count",)),)
BUILD = ({"count": 12288 * 3072},)
TOLERANCES = {
    "fp32": Tolerance(2e-6, 2e-6, "fast exp and rcp: a few units in 2^-22"),
    "fp16": Tolerance(1e-3, 1e-5, "the output is rounded to 11 bits: half a unit is 5e-4"),
    "bf16": Tolerance(8e-3, 1e-5, "the output is rounded to 8 bits: half a unit is 4e-3"),
}


def reference(x: NDArray[np.float64]) -> NDArray[Any]:
    """x / (1 + exp(-x)) in float64."""
    result: NDArray[Any] = x / (1 + np.exp(-x))
    return result
