"""The float64 references against formulas written another way."""

from __future__ import annotations

import math

import numpy as np
import pytest

from plugins.discovery import families
from plugins.inputs import CLASSES, make
from plugins.kernel import Problem


def expect(name: str, problem: Problem, **tensors: list[object]) -> np.ndarray:
    outputs = families()[name].expect({k: np.array(v, dtype=np.float64) for k, v in tensors.items()}, problem)
    return outputs["y"]


def test_layernorm_of_three_numbers() -> None:
    problem = Problem({"rows": 1, "cols": 3}, "fp32", {"affine": True})
    got = expect("layernorm", problem, x=[[1, 2, 3]], gamma=[1, 2, 3], beta=[0, 0, 1])
    scale = 1 / math.sqrt(2 / 3 + 1e-5)
    assert got[0].tolist() == pytest.approx([-scale, 0, 3 * scale + 1])


def test_skip_layernorm_is_layernorm_of_the_sum() -> None:
    rng = np.random.default_rng(0)
    skip = families()["skip_layernorm"]
    inputs = make(skip, Problem({"rows": 5, "cols": 8}, "fp32", {"keep": True}), "random", rng)
    got = skip.expect(inputs, Problem({"rows": 5, "cols": 8}, "fp32", {"keep": True}))
    plain = {"x": inputs["x"].astype(float) + inputs["bias"] + inputs["residual"], "gamma": inputs["gamma"], "beta": inputs["beta"]}
    want = families()["layernorm"].expect(plain, Problem({"rows": 5, "cols": 8}, "fp32", {"affine": True}))
    assert np.allclose(got["y"], want["y"])
    assert np.allclose(got["total"], plain["x"])


@pytest.mark.parametrize("form", ["erf", "tanh"])
def test_gelu_at_one(form: str) -> None:
    got = expect("gelu", Problem({"count": 1}, "fp32", {"form": form}), x=[1.0])
    assert got[0] == pytest.approx(0.8413447, abs=3e-4)


def test_softmax_hides_a_column_and_sums_to_one() -> None:
    problem = Problem({"batch": 1, "rows": 1, "cols": 3}, "fp32", {"masked": True})
    got = expect("softmax", problem, x=[[[8.0, 8.0, 8.0]]], mask=[[0.0, 0.0, -math.inf]])
    assert got[0, 0].tolist() == pytest.approx([0.5, 0.5, 0.0])


def test_swish_at_zero_and_far_below() -> None:
    assert expect("swish", Problem({"count": 2}, "fp32"), x=[0.0, -800.0]).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("input_class", list(CLASSES))
@pytest.mark.parametrize("dtype", ["fp32", "fp16", "bf16"])
def test_inputs_have_the_declared_shape_and_dtype(input_class: str, dtype: str) -> None:
    family = families()["layernorm"]
    problem = Problem({"rows": 4, "cols": 9}, dtype, {"affine": True})
    made = make(family, problem, input_class, np.random.default_rng(1))
    assert {n: a.shape for n, a in made.items()} == {"x": (4, 9), "gamma": (9,), "beta": (9,)}
    assert (made["x"].itemsize == 4) == (dtype == "fp32")


def test_shifted_rows_are_shifted_and_special_rows_special() -> None:
    family = families()["layernorm"]
    problem = Problem({"rows": 4, "cols": 64}, "fp32", {"affine": False})
    rng = np.random.default_rng(1)
    assert abs(make(family, problem, "shifted", rng)["x"].mean() - 1e4) < 1
    special = make(family, problem, "special", rng)["x"]
    assert np.isinf(special[0]).any()
    assert np.isnan(special[1]).any()
    assert np.isfinite(special[3]).all()


@pytest.mark.parametrize("name", ["softmax", "attention"])
@pytest.mark.parametrize("length", [0, 1])
def test_a_masked_problem_of_no_length_has_inputs_and_one_of_length_one_sees_itself(name: str, length: int) -> None:
    family = families()[name]
    hidden = family.inputs[-1].dims[-1]
    problem = Problem(dict.fromkeys(family.dims, 2) | {hidden: length}, "fp16", {"masked": True})
    made = make(family, problem, "random", np.random.default_rng(1))
    assert made["mask"].shape == (2, length)
    assert not made["mask"].any()
    assert all(not np.isnan(array).any() for array in family.expect(made, problem).values())
