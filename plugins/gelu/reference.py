"""GELU, exact (erf) or by tanh."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.kernel import Tensor, Tolerance

DIMS = ("count",)
INPUTS = (Tensor("x", ("count",)),)
OUTPUTS = (Tensor("y", ("count",)),)
OPTIONS = {"form": ("erf", "tanh")}
BUILD = ({"count": 12288 * 3072},)
TOLERANCES = {
    "fp32": Tolerance(2e-6, 2e-6, "erf to 1.5e-7 (Abramowitz and Stegun 7.1.26), fast exp and rcp"),
    "fp16": Tolerance(1e-3, 1e-5, "the output is rounded to 11 bits: half a unit is 5e-4"),
    "bf16": Tolerance(8e-3, 1e-5, "the output is rounded to 8 bits: half a unit is 4e-3"),
}


def reference(x: NDArray[np.float64], *, form: str = "erf") -> NDArray[Any]:
    """x / 2 * (1 + erf(x / sqrt 2)), or with tanh(sqrt(2 / pi) * (x + 0.044715 x^3))."""
    if form == "tanh":
        inner = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    else:
        inner = np.vectorize(math.erf, otypes=[np.float64])(x / math.sqrt(2))
    result: NDArray[Any] = 0.5 * x * (1 + inner)
    return result
