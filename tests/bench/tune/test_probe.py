"""Accuracy of one half of the test split, where the task itself counts over the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.tune.probe import accuracy, rows_of
from common.errors import UserError
from variants.variant import Tensors, Variant, top1_agreement

LABELS = np.arange(10) % 3


def score(outputs: Tensors) -> float:
    """Fails on anything but all ten inputs, as a task metric may."""
    assert len(outputs["y"]) == 10
    return float((outputs["y"].argmax(-1) == LABELS).mean())


def _inputs(split: str) -> Tensors:
    return {"x": np.zeros((10, 1), np.float32)}


VARIANT = Variant(
    module=lambda: pytest.fail("a probe needs no torch"),
    inputs=_inputs,
    outputs=("y",),
    metric="top-1",
    agreement=top1_agreement,
    score=score,
    files=(Path(__file__),),
    measures={"share alike": top1_agreement},
)
REFERENCE = {"y": np.eye(3, dtype=np.float32)[LABELS]}


def test_the_halves_are_every_second_input_and_share_none() -> None:
    assert list(rows_of("choosing", 5)) == [0, 2, 4]
    assert list(rows_of("held out", 5)) == [1, 3]
    assert list(rows_of("choosing", 1)) == list(rows_of("held out", 1)) == [0]


@pytest.mark.parametrize("half", ["choosing", "held out"])
def test_a_loss_on_the_half_is_the_share_of_the_half(half: str) -> None:
    rows = rows_of(half, 10)  # type: ignore[arg-type]
    wrong = {"y": REFERENCE["y"][rows].copy()}
    wrong["y"][0] = np.roll(wrong["y"][0], 1)
    found = accuracy(wrong, rows, VARIANT, REFERENCE)
    assert found.inputs == 5
    assert found.delta == pytest.approx(-0.2)
    assert found.agreement == pytest.approx(0.8)
    assert dict(found.measures)["share alike"] == pytest.approx(0.8)
    assert found.outputs[0].elements == 15
    assert found.worst_snr_db == pytest.approx(10 * np.log10(5 / 2))


def test_an_output_that_is_missing_or_misshapen_is_one_sentence() -> None:
    rows = rows_of("choosing", 10)
    for actual in ({}, {"y": np.zeros((5, 4), np.float32)}):
        with pytest.raises(UserError, match="output 'y' is missing or has another shape"):
            accuracy(actual, rows, VARIANT, REFERENCE)
