"""--max-loss: every figure, every unit, and what is wrong with what is not one."""

from __future__ import annotations

import math

import pytest

from bench.tune.goal import parse
from common.errors import UserError
from reports.accuracy import Accuracy, OutputError, Spread


def accuracy(score: float | None = 0.95) -> Accuracy:
    snr, cosine, worst, agreement = 40.0, 0.9999, 0.01, 0.97
    spread = Spread(worst / 4, worst / 4, worst / 2, worst)
    output = OutputError("y", 10, 0, spread, spread, cosine, snr)
    reference = None if score is None else 0.96
    return Accuracy(100, (output,), agreement, "top-1", score, reference, (("matched-box IoU", 0.9),))


FIGURES = ("matched-box IoU", "label agreement")


@pytest.mark.parametrize(
    ("text", "holds", "said"),
    [
        ("snr 40dB", True, "40.0 dB"),
        ("snr 40.1 dB", False, "40.0 dB"),
        ("snr 30", True, "40.0 dB"),
        ("cosine 0.9998", True, "cosine 0.999900"),
        ("cosine 0.99995", False, "cosine 0.999900"),
        ("error 1e-2", True, "error 1.00e-02"),
        ("error 0.009", False, "error 1.00e-02"),
        ("top1 1%", True, "1.00% lost"),
        ("Top-1 0.9%", False, "1.00% lost"),
        ("metric 0.01", True, "1.00% lost"),
        ("agreement 3%", True, "3.00% lost"),
        ("agreement 2%", False, "3.00% lost"),
        ("matched-box IoU 10%", True, "10.00% lost"),
        ("iou 9.9%", False, "10.00% lost"),
    ],
)
def test_a_goal_holds_up_to_its_limit_and_says_how_much_was_lost(text: str, holds: bool, said: str) -> None:
    goal = parse(text, "top-1", FIGURES)
    assert goal.holds(accuracy()) is holds
    assert goal.said(goal.loss(accuracy())) == said


def test_without_labels_the_metric_is_the_agreement() -> None:
    goal = parse("top1 3%", "reference's top-1 in the top-5 (seeded weights)")
    assert goal.loss(accuracy(score=None)) == pytest.approx(0.03)


def test_a_metric_above_the_references_is_no_loss_and_no_gain() -> None:
    assert parse("top1 0%", "top-1").loss(accuracy(score=0.99)) == 0


def test_an_output_that_is_not_finite_holds_no_goal() -> None:
    broken = Accuracy(1, (OutputError("y", 10, 3, None, None, 0.0, -300.0),), 1.0, "top-1", 1.0, 1.0)
    for text in ("snr -300", "cosine -1", "error 1e30", "top1 99%"):
        goal = parse(text, "top-1")
        assert math.isinf(goal.loss(broken))
        assert not goal.holds(broken)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not a figure and a limit"),
        ("snr", "is not a figure and a limit"),
        ("0.5%", "is not a figure and a limit"),
        ("snr thirty", "is not a figure and a limit"),
        ("snr 1.2.3", "is not a figure and a limit"),
        ("snr 30%", "snr takes decibels"),
        ("cosine 1.5", "cosine takes a cosine up to 1"),
        ("error -1", "error takes an error from 0 up"),
        ("top1 30dB", "is not a loss of top-1"),
        ("top1 100%", "is not a loss of top-1"),
        ("top1 -1%", "is not a loss of top-1"),
        ("wer 1%", "no such figure; there are: snr, cosine, error, agreement, metric (top-1), matched-box IoU"),
    ],
)
def test_what_is_no_goal_is_one_sentence(text: str, says: str) -> None:
    with pytest.raises(UserError) as error:
        parse(text, "top-1", FIGURES)
    assert says in str(error.value)
    assert str(error.value).startswith("--max-loss: ")
    assert "\n" not in str(error.value)
