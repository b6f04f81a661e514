"""Greedy order, bisection, pruning: pure, over sets whose answer is known."""

from __future__ import annotations

import pytest

from bench.tune.keep_sets import Kept, free, order, pruned, shortest, stricter
from bench.tune.sensitivity import Sensitivity, ranked, saved, worth_refining
from bench.tune.units import Unit


def sensed(unit: str, score: float, saved_us: float | None) -> Sensitivity:
    return Sensitivity("int8", unit, score, 1 - score, saved_us, score)


def test_what_lowering_does_not_speed_up_is_kept_first_and_then_by_accuracy_for_time() -> None:
    found = [sensed("loud", 0.6, 100), sensed("cheap", 0.3, 10), sensed("slow when low", 0.0, -5), sensed("quiet", 0.1, 100)]
    assert order(found) == ("slow when low", "cheap", "loud", "quiet")
    assert free(found) == ("slow when low",)


def test_the_shortest_prefix_that_suffices_is_found_in_few_trials() -> None:
    ordered = tuple(f"unit{number}" for number in range(100))
    tried: list[Kept] = []

    def suffices(kept: Kept) -> bool:
        tried.append(kept)
        return len(kept) >= 37

    assert shortest(ordered, suffices) == ordered[:37]
    assert len(tried) <= 10


def test_nothing_is_kept_where_nothing_is_needed_and_none_is_said_where_all_is_not_enough() -> None:
    assert shortest(("a", "b"), lambda kept: True) == ()
    assert shortest(("a", "b"), lambda kept: False) is None


def test_pruning_drops_the_dearest_that_is_not_needed() -> None:
    cost = {"a": 5.0, "b": 50.0, "c": 20.0, "free": -1.0}
    assert pruned(("a", "b", "c", "free"), cost.__getitem__, lambda kept: "a" in kept) == ("a", "free")


def test_stricter_sets_hold_the_smallest_and_grow() -> None:
    ordered = tuple("abcdefg")
    sets = stricter(ordered, ("b",))
    assert [len(kept) for kept in sets] == [3, 5]
    assert all("b" in kept for kept in sets)


def test_the_rank_is_by_what_is_loud_alone_and_by_what_keeping_takes_away() -> None:
    found = [
        Sensitivity("int8", "loud", alone=0.8, without=0.2, saved_us=1.0),
        Sensitivity("int8", "quiet", alone=0.2, without=0.9, saved_us=1.0),
        Sensitivity("int8", "untouched", alone=None, without=1.0, saved_us=None),
    ]
    order_ = ranked(found[::-1], full=1.0)
    assert [entry.unit for entry in order_] == ["loud", "quiet", "untouched"]
    assert order_[0].score == pytest.approx((0.8 + 0.8) / 2)
    assert order_[1].score == pytest.approx((0.2 + 0.1) / 2)
    assert order_[2].score == 0
    assert worth_refining(order_) == ("loud",)


UNITS = (Unit("/a", frozenset({"/a/MatMul"}), 30), Unit("/a/b", frozenset({"/a/b/MatMul"}), 10))


def test_saved_time_comes_from_the_layers_of_each_unit_by_its_longest_name() -> None:
    high = [("/a/MatMul", 10.0), ("/a/b/MatMul", 8.0), ("Gelu", 5.0)]
    low = [("/a/MatMul", 4.0), ("/a/b/MatMul", 7.0), ("/a/b/MatMul_output/QuantizeLinear", 3.0), ("Gelu", 5.0)]
    assert saved(UNITS, high, low) == {"/a": 6.0, "/a/b": -2.0}


def test_where_a_profile_names_no_unit_the_difference_is_divided_by_weights() -> None:
    assert saved(UNITS, [("fused", 50.0)], [("fused", 10.0)]) == {"/a": 30.0, "/a/b": 10.0}
