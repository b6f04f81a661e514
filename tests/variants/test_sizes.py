"""Sizes that are not known yet: that they cancel, and that their bounds hold every value they can take."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from variants.symbolic.sizes import Size, Spans, named, sized

A, B = named("a"), named("b")


def value(size: Size, of: dict[str, int]) -> int:
    return sum(factor * math.prod(of[name] for name in names) for names, factor in size.terms)


def test_equal_sums_are_equal_however_they_were_made() -> None:
    assert A * 2 + B - A == B + A
    assert (A + 1) * (A - 1) == A * A - 1
    assert (A - A).number == 0
    assert sized(7).number == 7
    assert A.number is None


def test_a_quotient_by_one_term_is_exact_or_nothing() -> None:
    assert (A * B * 6).over(A * 2) == B * 3
    assert (A * 6 + 1).over(sized(2)) is None
    assert (A * 3).over(B) is None
    assert (A * 3).over(A + 1) is None


def test_what_is_a_whole_number_of_times_more_is_not_rounded() -> None:
    assert Spans().quotient(A * 4 + 2, sized(2)) == A * 2 + 1


def test_a_dimension_without_a_range_is_not_negative() -> None:
    assert Spans().span(A - 3) == (-3, math.inf)


def test_bounds_follow_from_the_declared_ranges() -> None:
    spans = Spans.declared({"a": (1, 8, 128)})
    assert spans.span(sized(512) - A) == (384, 511)
    assert spans.least(A, sized(512)) == A
    assert spans.most(A, sized(0)) == A
    assert spans.least(A, sized(64)).number is None
    assert spans.span(spans.least(A, sized(64))) == (1, 64)


def test_what_was_rounded_down_equals_itself() -> None:
    spans = Spans.declared({"a": (7, 30, 1200)})
    time = spans.quotient(spans.quotient(A - 3, sized(2)) + 1 - 3, sized(2)) + 1
    again = spans.quotient(spans.quotient(A - 3, sized(2)) - 2, sized(2)) + 1
    assert time == again
    assert spans.span(time) == (1, 299)


def test_one_of_two_sizes_is_the_same_in_any_order() -> None:
    spans = Spans()
    once = spans.either([A, B])
    assert once == spans.either([B, A]) == spans.either([once, A])
    assert spans.either([A, A]) == A


SMALL = st.integers(-4, 4)


@given(SMALL, SMALL, SMALL, st.integers(1, 4), st.integers(0, 9), st.integers(0, 9))
def test_bounds_hold_at_every_point_of_the_range(i: int, j: int, k: int, by: int, a: int, b: int) -> None:
    spans = Spans.declared({"a": (0, 5, 9), "b": (0, 5, 9)})
    size = A * i + B * j + A * B * k
    at = value(size, {"a": a, "b": b})
    low, high = spans.span(size)
    assert low <= at <= high
    low, high = spans.span(spans.quotient(size, sized(by)))
    assert low <= at // by <= high
    for combined, exact in ((spans.least(size, A), min(at, a)), (spans.most(size, A), max(at, a))):
        low, high = spans.span(combined)
        assert low <= exact <= high
