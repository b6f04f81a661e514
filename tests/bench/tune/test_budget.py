"""Seconds as they are written, and a budget that ends."""

from __future__ import annotations

import pytest

from bench.tune.budget import Budget, parse, said
from common.errors import UserError


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), (" 2 min ", 120)])
def test_a_budget_is_seconds_minutes_or_hours(text: str, seconds: float) -> None:
    assert parse(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-5m", "ten", "5d", "1e3"])
def test_what_is_no_time_is_one_sentence(text: str) -> None:
    with pytest.raises(UserError, match=r"--budget: .* is no time; write 90s, 10m or 1h"):
        parse(text)


def test_a_phase_ends_at_its_share_of_the_budget() -> None:
    now = 0.0
    budget = Budget(100, lambda: now)
    now = 40.0
    assert budget.allows(0.5)
    assert not budget.allows(0.35)
    now = 100.0
    assert not budget.allows()


def test_times_read_as_minutes_and_seconds() -> None:
    assert [said(seconds) for seconds in (0.4, 59.6, 3723)] == ["0:00", "1:00", "1:02:03"]
