"""What may be claimed, and how numbers read."""

from __future__ import annotations

import pytest

from reports.statistics import Estimate
from reports.wording import claim, decibel, message, microseconds, shorten


@pytest.mark.parametrize(
    ("ratio", "noise", "said"),
    [
        (Estimate(1.20, 1.18, 1.22), 0.01, "1.200x faster"),
        (Estimate(0.80, 0.79, 0.81), 0.01, "1.250x slower"),
        (Estimate(1.05, 0.99, 1.12), None, "no difference seen"),
        (Estimate(1.05, 1.00, 1.12), None, "no difference seen"),
        (Estimate(0.95, 0.90, 1.00), None, "no difference seen"),
        (Estimate(1.01, 1.005, 1.015), 0.02, "within the noise (±2.0%)"),
        (Estimate(1.01, 1.005, 1.015), None, "1.010x faster"),
    ],
)
def test_a_difference_is_claimed_only_outside_the_interval_and_the_noise(ratio: Estimate, noise: float | None, said: str) -> None:
    assert claim(ratio, 12, noise).text == said


def test_five_pairs_are_too_few_for_any_claim() -> None:
    sure = Estimate(2.0, 1.9, 2.1)
    assert claim(sure, 5, None).text == "n too small (5 pairs)"
    assert claim(sure, 6, None).holds


def test_a_claim_beside_its_ratio_is_one_word_and_what_is_no_claim_stays_whole() -> None:
    assert claim(Estimate(2.0, 1.9, 2.1), 12, None).word.text == "faster"
    assert claim(Estimate(1.0, 0.9, 1.1), 12, None).word.text == "no difference seen"


def test_microseconds_keep_four_digits() -> None:
    assert [microseconds(x) for x in (0.1234, 12.345, 123.45, 1234.5, 123456.7)] == [
        "0.123",
        "12.35",
        "123.5",
        "1,234",
        "123,457",
    ]


def test_the_cap_of_the_signal_to_noise_ratio_reads_equal() -> None:
    assert decibel(300.0) == "equal"
    assert decibel(128.04) == "128.0"


def test_a_message_loses_its_terminal_colours_and_is_never_empty() -> None:
    assert message("\x1b[1;31m[E] no\x1b[0m\n") == "[E] no"
    assert message("  ") == "(no message)"


def test_a_long_message_becomes_one_short_line() -> None:
    assert shorten("one\ntwo   three") == "one two three"
    assert len(shorten("word " * 50)) == 70
