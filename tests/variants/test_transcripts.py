"""Tokens from CTC outputs, the distance of transcripts and the agreement of rankings, against what can be counted by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from variants.transcripts import beam_search, edit_distance, greedy, rank_agreement, token_agreement
from variants.variant import Array


def frames(best: str, vocabulary: int = 4) -> Array:
    """[time, vocabulary] whose best token in each frame is the digit given; 0 is the blank."""
    return np.eye(vocabulary)[[int(digit) for digit in best]]


@pytest.mark.parametrize(
    ("best", "spoken"),
    [("0123", [1, 2, 3]), ("1122", [1, 2]), ("1011", [1, 1]), ("000", []), ("33003", [3, 3]), ("12001", [1, 2, 1])],
)
def test_repeats_are_merged_unless_a_blank_parts_them(best: str, spoken: list[int]) -> None:
    assert greedy(frames(best), len(best)) == spoken


def test_frames_behind_the_end_are_not_read() -> None:
    assert greedy(frames("1233"), 2) == [1, 2]


@pytest.mark.parametrize(
    ("first", "second", "edits"),
    [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("abc", "abc", 0), ("ab", "ba", 2), ("abcd", "acd", 1)],
)
def test_edits_are_counted_as_levenshtein_does(first: str, second: str, edits: int) -> None:
    assert edit_distance([*map(ord, first)], [*map(ord, second)]) == edits


def test_one_wrong_token_of_ten_is_an_agreement_of_nine_tenths() -> None:
    assert token_agreement([[1, 2, 3], [4, 5, 6, 7, 8, 9, 9]], [[1, 2, 3], [4, 5, 6, 7, 8, 9, 0]]) == pytest.approx(0.9)


def test_transcripts_without_a_token_in_common_agree_in_nothing() -> None:
    assert token_agreement([[5] * 40], [[1, 2]]) == 0


@pytest.mark.parametrize(
    ("actual", "share"), [([1.0, 2.0, 3.0], 1), ([3.0, 2.0, 1.0], 0), ([1.0, 3.0, 2.0], 2 / 3), ([2.0, 2.0, 3.0], 5 / 6)]
)
def test_agreement_is_the_share_of_pairs_in_the_same_order_and_a_tie_is_half(actual: list[float], share: float) -> None:
    assert rank_agreement(np.array([actual]), np.array([[10.0, 20.0, 30.0]])) == pytest.approx(share)


def test_beam_search_finds_the_probabilities_of_all_paths_by_their_transcript() -> None:
    """Four frames of three tokens: 81 paths, summed by hand."""
    draw = np.random.default_rng(0)
    log_probs = np.log(draw.dirichlet(np.ones(3), 4))
    expected: dict[tuple[int, ...], float] = {}
    for path in product(range(3), repeat=4):
        spoken = tuple(greedy(np.eye(3)[list(path)], 4))
        expected[spoken] = expected.get(spoken, 0) + float(np.exp(log_probs[range(4), path].sum()))
    found = beam_search(log_probs, np.tile(np.arange(3), (4, 1)), 100)
    assert {prefix: float(np.exp(score)) for prefix, score in found} == pytest.approx(expected)
    assert [prefix for prefix, _ in found] == sorted(expected, key=lambda prefix: -expected[prefix])
