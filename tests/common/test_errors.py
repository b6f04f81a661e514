"""A misspelt name gets the near match and the list."""

from __future__ import annotations

import pytest

from common.errors import Unsupported, UserError, unknown

KNOWN = ["fold", "onnxsim", "fuse_layernorm"]


@pytest.mark.parametrize(
    ("typed", "near"), [("fodl", "fold"), ("onnxsin", "onnxsim"), ("fuse-layernorm", "fuse_layernorm"), ("layernorm", "fuse_layernorm")]
)
def test_a_near_match_is_offered_before_the_whole_list(typed: str, near: str) -> None:
    assert str(unknown("pass", typed, KNOWN)) == f"unknown pass '{typed}': did you mean '{near}'? known: fold, fuse_layernorm, onnxsim"


def test_a_name_like_no_other_gets_the_list_alone() -> None:
    assert str(unknown("pass", "zzz", KNOWN)) == "unknown pass 'zzz': known: fold, fuse_layernorm, onnxsim"


def test_the_list_is_sorted_whatever_order_it_came_in() -> None:
    assert str(unknown("batch", "x", iter(["b", "a"]))).endswith("known: a, b")


def test_unsupported_is_shown_like_any_error_of_the_user() -> None:
    assert issubclass(Unsupported, UserError)
