"""A sample of ONNX's backend tests; `python -m tests.variants.own.survey` tries all 2,033 of them."""

from __future__ import annotations

import pytest

from tests.variants.own.survey import NOT_FINITE, WORKS, kind, tried

RUNS = (
    *("simple/test_single_relu_model", "simple/test_shrink", "simple/test_sequence_model4", "pytorch-converted/test_Conv2d"),
    *("pytorch-converted/test_Embedding", "pytorch-operator/test_operator_conv"),
    *("pytorch-converted/test_Softmax", "pytorch-operator/test_operator_index", "light/light_squeezenet"),
)


@pytest.mark.parametrize("name", RUNS)
def test_a_model_runs_on_made_up_inputs_and_gives_what_onnx_states_for_its_own(name: str) -> None:
    (trial,) = tried([name])
    assert (trial.made_up, trial.given) in {(WORKS, WORKS), (WORKS, None)}


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("simple/test_expand_shape_model1", "an input sets a shape, an axis or a count: wants --inputs"),
        ("simple/test_gradient_of_add", "a custom operator"),
        (
            "simple/test_strnorm_model_monday_empty_output",
            "an input or output holds strings, bfloat16, 4-bit, 8-bit float or complex numbers",
        ),
        ("pytorch-converted/test_PReLU_1d", "ONNX Runtime does not take the model (old operators, rare types)"),
    ],
)
def test_what_cannot_be_run_is_refused_for_the_right_reason(name: str, what: str) -> None:
    (trial,) = tried([name])
    assert kind(trial.made_up) == what


def test_a_root_of_what_is_made_up_is_not_finite_and_is_told_apart() -> None:
    assert tried(["pytorch-operator/test_operator_sqrt"])[0].made_up == NOT_FINITE
