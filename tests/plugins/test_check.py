"""Bad input is one sentence that names the tensor and the next action."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from plugins.check import BadInput, Given, problem_of
from plugins.discovery import families

X = Given((4, 6), (6, 1), "fp16", "cuda", 4096)
ROW = Given((6,), (1,), "fp16", "cuda", 8192)
LAYERNORM = families()["layernorm"]
AFFINE = {"affine": True}


def test_dense_tensors_on_the_gpu_are_a_problem() -> None:
    got = problem_of(LAYERNORM, {"x": X, "gamma": ROW, "beta": ROW, "y": X}, AFFINE)
    assert (dict(got.dims), got.dtype, got.align) == ({"rows": 4, "cols": 6}, "fp16", 16)


def test_the_least_aligned_address_counts() -> None:
    got = problem_of(LAYERNORM, {"x": replace(X, pointer=4098), "y": X}, {"affine": False})
    assert got.align == 2


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"dtype": "torch.float64"}, "'x' is torch.float64: cast it"),
        ({"shape": (2, 2, 6), "strides": (12, 6, 1)}, r"'x' has rank 3: reshape it to \[rows, cols\]"),
        ({"device": "cpu"}, "'x' is on cpu: move it"),
        ({"strides": (1, 4)}, r"'x' has strides \[1, 4\] .* pass \.contiguous\(\)"),
        ({"shape": (4, 5), "strides": (5, 1)}, "'gamma' has cols = 6, other tensors have 5"),
        ({"pointer": 4097}, "not a multiple of 2 bytes"),
    ],
)
def test_a_wrong_tensor_is_named(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=f"layernorm: .*{said}"):
        problem_of(LAYERNORM, {"x": replace(X, **changed), "gamma": ROW, "beta": ROW, "y": X}, AFFINE)


def test_a_missing_tensor_is_named_with_its_shape() -> None:
    with pytest.raises(BadInput, match=r"pass 'gamma', shaped \[cols\]"):
        problem_of(LAYERNORM, {"x": X, "y": X}, AFFINE)


def test_a_dtype_that_differs_is_named() -> None:
    with pytest.raises(BadInput, match="'gamma' is fp32 and the first input fp16"):
        problem_of(LAYERNORM, {"x": X, "gamma": replace(ROW, dtype="fp32"), "beta": ROW, "y": X}, AFFINE)
