"""What the estimates say of known samples."""

from __future__ import annotations

import numpy as np
import pytest

from reports.statistics import gain, median_interval, speedup
from tests.reports.builders import Clock

QUIET = Clock(seed=1, spread=0.002)


def test_values_that_share_loads_are_worth_less_than_as_many_independent_ones() -> None:
    shifts = np.repeat(np.random.default_rng(5).normal(0, 1, 6), 10)
    values = 100 + shifts + np.random.default_rng(6).normal(0, 0.1, 60)
    apart, together = median_interval(values), median_interval(values, loads=(10,) * 6)
    assert together.value == apart.value
    assert together.half_width > 1.5 * apart.half_width


def test_loads_that_do_not_add_up_to_the_values_are_refused() -> None:
    with pytest.raises(ValueError, match="3 samples in loads of"):
        median_interval([1.0, 2.0, 3.0], loads=(2, 2))


def test_an_interval_covers_the_true_median_about_as_often_as_it_says() -> None:
    draws = np.random.default_rng(7).normal(0.0, 1.0, (400, 30))
    covered = sum(1 for row in draws if (e := median_interval(row)).low <= 0 <= e.high)
    assert 0.90 <= covered / len(draws) <= 0.99


def test_no_samples_have_no_median() -> None:
    with pytest.raises(ValueError, match="0 samples"):
        median_interval([])


def test_a_drift_that_moves_both_halves_of_a_pair_is_not_a_speedup() -> None:
    drift = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0]
    ratio = speedup([[500.0 * d] * 3 for d in drift], [[1000.0 * d] * 3 for d in drift])
    assert (ratio.low, ratio.value, ratio.high) == pytest.approx((2.0, 2.0, 2.0))


def test_lost_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="pairs were lost"):
        speedup([[1.0], [1.0]], [[1.0]])


def test_a_gain_is_the_ratio_of_two_speedups_whatever_the_machine_did_in_between() -> None:
    before = QUIET.blocks(800.0), QUIET.blocks(1000.0), ()
    after_on_a_machine_half_as_fast = QUIET.blocks(800.0), QUIET.blocks(2000.0), ()
    found = gain(after_on_a_machine_half_as_fast, before)
    assert found.value == pytest.approx(2.0, rel=0.01)
    assert found.low < found.value < found.high


def test_the_interval_of_a_gain_is_wider_than_that_of_either_speedup() -> None:
    noisy = Clock(seed=2, spread=0.05)
    first = noisy.blocks(800.0), noisy.blocks(1000.0), ()
    second = noisy.blocks(700.0), noisy.blocks(1000.0), ()
    both = gain(second, first)
    assert both.half_width > max(speedup(*first).half_width, speedup(*second).half_width)
