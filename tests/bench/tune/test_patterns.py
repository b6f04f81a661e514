"""A set of nodes as few patterns that match it exactly."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.tune.patterns import UNWRITABLE, cover
from common.errors import UserError

NAMES = (
    *("/blocks.0/attn/qkv/MatMul", "/blocks.0/attn/qkv/Add", "/blocks.0/attn/proj/MatMul", "/blocks.0/attn/Softmax"),
    *("/blocks.1/attn/qkv/MatMul", "/blocks.10/attn/qkv/MatMul", "/blocks.10/attn/qkv/Add", "/head/Gemm", "Constant_3"),
)


def matched(patterns: tuple[str, ...], names: tuple[str, ...]) -> set[str]:
    return {name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)}


@pytest.mark.parametrize(
    ("begin", "patterns"),
    [
        ("/blocks.0/", ("/blocks.0/*",)),
        ("/blocks.0/attn/qkv/", ("/blocks.0/attn/qkv/*",)),
        ("/blocks.10/", ("/blocks.10/*",)),
        ("/blocks.1/", ("/blocks.1/attn/qkv/MatMul",)),
        ("/blocks", ("/blocks.*",)),
        ("/head/Gemm", ("/head/Gemm",)),
        ("", ("*",)),
        ("nothing", ()),
    ],
)
def test_a_module_is_its_prefix_and_a_single_node_its_name(begin: str, patterns: tuple[str, ...]) -> None:
    wanted = {name for name in NAMES if name.startswith(begin)}
    assert cover(wanted, NAMES) == patterns


def test_all_but_one_module_takes_few_patterns() -> None:
    wanted = set(NAMES) - {"/blocks.0/attn/qkv/MatMul", "/blocks.0/attn/qkv/Add"}
    assert cover(wanted, NAMES) == ("/blocks.0/attn/Softmax", "/blocks.0/attn/proj/MatMul", "/blocks.1*", "/head/Gemm", "Constant_3")


ALPHABET = st.text("/.ab1*?[]+,~ ", min_size=1, max_size=7)


@given(st.lists(ALPHABET, min_size=1, max_size=12, unique=True), st.data())
def test_the_patterns_match_the_set_and_nothing_else_whatever_the_names(names: list[str], data: st.DataObject) -> None:
    wanted = set(data.draw(st.lists(st.sampled_from(names), unique=True)))
    try:
        patterns = cover(wanted, names)
    except UserError:
        if not set(UNWRITABLE) & set("".join(names)):
            raise
        return
    assert matched(patterns, tuple(names)) == wanted
    assert not any(character in pattern for pattern in patterns for character in UNWRITABLE)


def test_names_that_a_list_cannot_tell_apart_are_an_error_with_both() -> None:
    with pytest.raises(UserError, match=r"'a\?b' and 'axb' cannot be told apart"):
        cover({"a+b"}, ("a+b", "axb"))
