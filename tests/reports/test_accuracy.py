"""Errors of small arrays, computed by hand, and every bound that may not hold."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from reports.accuracy import FLOOR, MAX_SNR_DB, Accuracy, OutputError, Tolerance, output_error

REFERENCE = np.array([[3.0, 4.0], [0.0, 0.0]])
ACTUAL = np.array([[3.0, 3.0], [0.0, 2.0]])
LOOSE = Tolerance(20, 0.98, 0.01, "eight bits")


def accuracy(
    actual: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = REFERENCE, agreement: float = 1.0, score: float = 0.98
) -> Accuracy:
    return Accuracy(2, (output_error("logits", actual, REFERENCE),), agreement, "top-1", score, 0.98)


def test_absolute_errors_by_hand() -> None:
    found = output_error("logits", ACTUAL, REFERENCE).absolute
    assert found is not None
    assert (found.mean, found.median, found.max) == (0.75, 0.5, 2.0)
    assert found.p99 == pytest.approx(1.97), "0, 0, 1, 2: three hundredths below the last"


def test_relative_errors_divide_by_the_reference_but_by_no_less_than_the_floor() -> None:
    found = output_error("logits", ACTUAL, REFERENCE).relative
    assert found is not None
    smallest = FLOOR * math.sqrt(25 / 4)
    assert found.max == pytest.approx(2 / smallest)
    assert found.mean == pytest.approx((1 / 4 + 2 / smallest) / 4)


def test_cosine_and_signal_to_noise_by_hand() -> None:
    found = output_error("logits", ACTUAL, REFERENCE)
    assert found.cosine == pytest.approx((9 + 12) / (5 * math.sqrt(9 + 9 + 4)))
    assert found.snr_db == pytest.approx(10 * math.log10(25 / 5))
    assert (found.output, found.elements, found.non_finite) == ("logits", 4, 0)


def test_ten_times_the_error_is_twenty_decibels_less() -> None:
    small, large = (output_error("y", REFERENCE + step, REFERENCE).snr_db for step in (1e-3, 1e-2))
    assert small - large == pytest.approx(20)


def test_equal_arrays_have_no_error_and_the_largest_signal_to_noise() -> None:
    found = output_error("y", REFERENCE, REFERENCE)
    assert found.snr_db == MAX_SNR_DB == 300
    assert found.cosine == pytest.approx(1)
    assert found.absolute is not None
    assert found.absolute.max == 0


def test_a_reference_of_nothing_but_zeros_is_equal_to_zeros_and_far_from_anything_else() -> None:
    zeros = np.zeros(3)
    same, other = output_error("y", zeros, zeros), output_error("y", zeros + 1, zeros)
    assert (same.snr_db, same.cosine) == (300, 1)
    assert (other.snr_db, other.cosine) == (-300, 0)
    assert other.relative is not None
    assert other.relative.max == 1


def test_float16_is_compared_without_rounding_the_reference() -> None:
    reference = np.array([1.0001, 2.0], np.float32)
    found = output_error("y", reference.astype(np.float16), reference)
    assert found.absolute is not None
    assert found.absolute.max == pytest.approx(1e-4, rel=1e-2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_counted_and_has_no_errors(bad: float) -> None:
    spoilt = REFERENCE.copy()
    spoilt[0, 0] = spoilt[1, 1] = bad
    found = output_error("logits", spoilt, REFERENCE)
    assert (found.non_finite, found.absolute, found.relative, found.snr_db) == (2, None, None, -300)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_never_within_tolerance_however_wide(bad: float) -> None:
    spoilt = REFERENCE.copy()
    spoilt[0, 0] = bad
    anything = Tolerance(-math.inf, 0, math.inf, "anything goes")
    assert anything.violation(accuracy(spoilt)) == "1 of 4 elements of output 'logits' or of its reference are NaN or infinite"


def test_a_reference_that_is_not_finite_is_no_reference() -> None:
    spoilt = REFERENCE.copy()
    spoilt[0, 0] = np.nan
    found = output_error("logits", REFERENCE, spoilt)
    assert (found.non_finite, found.absolute) == (1, None)


def test_the_same_infinity_on_both_sides_is_not_agreement() -> None:
    spoilt = np.array([np.inf, 1.0])
    assert output_error("y", spoilt, spoilt).non_finite == 1


@pytest.mark.parametrize("actual", [ACTUAL, REFERENCE * np.nan, REFERENCE, REFERENCE * 0, REFERENCE * 1e30])
def test_whatever_the_outputs_the_errors_survive_being_written_and_read(actual: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
    for one, other in ((actual, REFERENCE), (REFERENCE, actual)):
        found = output_error("logits", one, other)
        assert msgspec.json.decode(msgspec.json.encode(found), type=OutputError) == found


def test_another_shape_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"output 'logits' has shape \(4,\), the reference \(2, 2\)"):
        output_error("logits", ACTUAL.ravel(), REFERENCE)


def test_within_every_bound_there_is_no_violation() -> None:
    assert LOOSE.violation(accuracy()) is None


VIOLATIONS = {
    "noise": (accuracy(ACTUAL), "signal-to-noise 7.0 dB is under the 20 dB allowed (eight bits)"),
    "agreement": (accuracy(agreement=0.9722), "agreement with the reference 97.22% is under the 98.00% allowed (eight bits)"),
    "the task": (accuracy(score=0.96), "top-1 fell by 0.0200, more than the 0.01 allowed (eight bits)"),
    "an agreement that is not a number": (
        accuracy(agreement=math.nan),
        "agreement with the reference nan% is under the 98.00% allowed (eight bits)",
    ),
    "a score that is not a number": (accuracy(score=math.nan), "top-1 fell by nan, more than the 0.01 allowed (eight bits)"),
}


@pytest.mark.parametrize("kind", VIOLATIONS)
def test_each_broken_bound_is_one_sentence_with_its_reason(kind: str) -> None:
    found, sentence = VIOLATIONS[kind]
    assert LOOSE.violation(found) == sentence


def test_exactly_the_bound_is_still_within_it() -> None:
    exact = accuracy(ACTUAL, agreement=0.98, score=0.97)
    tolerance = Tolerance(exact.worst_snr_db, 0.98, 0.98 - 0.97, "as measured")
    assert tolerance.violation(exact) is None


def test_a_better_score_is_no_violation() -> None:
    assert LOOSE.violation(accuracy(score=1.0)) is None
    assert accuracy(score=1.0).delta == pytest.approx(0.02)


def test_the_worst_of_several_outputs_decides() -> None:
    good, bad = output_error("good", REFERENCE, REFERENCE), output_error("bad", ACTUAL, REFERENCE)
    both = Accuracy(2, (good, bad), 1.0, "top-1", 0.98, 0.98)
    assert both.worst_snr_db == bad.snr_db
    assert LOOSE.violation(both) is not None


def test_a_model_without_labels_is_held_to_noise_and_agreement_alone() -> None:
    seeded = msgspec.structs.replace(accuracy(), score=None, reference_score=None)
    assert LOOSE.violation(seeded) is None
    assert "agreement" in (LOOSE.violation(msgspec.structs.replace(seeded, agreement=0.5)) or "")
    assert msgspec.json.decode(msgspec.json.encode(seeded), type=Accuracy) == seeded
