"""Transposes merged into one or none."""

from __future__ import annotations

from itertools import permutations, product

import onnx
import pytest

from tests.variants.graphs import WIDTH, model, node, operators, value
from tests.variants.more_graphs.layout import moves_in_a_branch
from tests.variants.passes.layout_checks import moves, rewritten
from variants.passes.merge_transposes import merge_transposes

SHAPE: tuple[str | int, ...] = ("batch", 4, WIDTH)


def chain(*orders: list[int] | None, tail: str = "Exp") -> onnx.ModelProto:
    """x transposed by one order after another, then `tail`."""
    nodes, source = [], "x"
    shape: list[int | str] = list(SHAPE)
    for place, order in enumerate(orders):
        nodes.append(node("Transpose", source, f"h{place}", **({"perm": order} if order else {})))
        source, shape = f"h{place}", [shape[axis] for axis in order or [2, 1, 0]]
    return model([*nodes, node(tail, source, "y")], outputs=[value("y", shape)])


@pytest.mark.parametrize("pair", list(product(permutations(range(3)), repeat=2)), ids=str)
def test_two_transposes_become_the_one_that_is_both_or_none(pair: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    before = chain(*map(list, pair))
    identities = [order == (0, 1, 2) for order in pair]
    after = rewritten(merge_transposes, before, 2 if all(identities) else 1)
    back = [pair[0][axis] for axis in pair[1]] == [0, 1, 2]
    assert moves(after) == ({} if back else {"Transpose": 1})


def test_a_chain_of_four_is_one() -> None:
    assert moves(rewritten(merge_transposes, chain([1, 0, 2], [0, 2, 1], [2, 1, 0], [1, 0, 2]), 3)) == {"Transpose": 1}


def test_two_that_reverse_without_saying_how_many_axes_are_none() -> None:
    assert moves(rewritten(merge_transposes, chain(None, None), 1)) == {}


def test_one_that_reverses_and_one_that_says_its_order_are_one() -> None:
    assert moves(rewritten(merge_transposes, chain(None, [1, 0, 2]), 1)) == {"Transpose": 1}


def test_a_pair_between_an_input_and_an_output_leaves_an_identity() -> None:
    nodes = [node("Transpose", "x", "h", perm=[0, 2, 1]), node("Transpose", "h", "y", perm=[0, 2, 1])]
    assert operators(rewritten(merge_transposes, model(nodes), 1)) == ["Identity"]


def test_a_pair_before_an_output_lets_what_was_before_write_it() -> None:
    nodes = [node("Exp", "x", "g"), node("Transpose", "g", "h", perm=[0, 2, 1]), node("Transpose", "h", "y", perm=[0, 2, 1])]
    after = rewritten(merge_transposes, model(nodes), 1)
    assert [(made.op_type, made.output) for made in after.graph.node] == [("Exp", ["y"])]


def test_what_else_reads_the_tensor_between_keeps_the_first() -> None:
    nodes = [
        node("Transpose", "x", "h", perm=[0, 2, 1]),
        node("Transpose", "h", "g", perm=[0, 2, 1]),
        node("Exp", "g", "y"),
        node("Exp", "h", "z"),
    ]
    before = model(nodes, outputs=[value("y"), value("z", ("batch", WIDTH, 4))])
    assert moves(rewritten(merge_transposes, before, 1)) == {"Transpose": 1}


def test_an_operator_of_the_same_name_in_another_domain_is_not_looked_at() -> None:
    before = chain([0, 2, 1], [0, 2, 1])
    before.graph.node[0].domain = "somewhere.else"
    before.opset_import.append(onnx.helper.make_opsetid("somewhere.else", 1))
    assert merge_transposes.run(before) == (before, 0)


def test_two_transposes_of_one_tensor_by_one_order_are_one() -> None:
    nodes = [
        node("Transpose", "x", "h", perm=[0, 2, 1]),
        node("Transpose", "x", "g", perm=[0, 2, 1]),
        node("Exp", "g", "z"),
        node("Exp", "h", "w"),
        node("Add", "z w", "y"),
    ]
    assert moves(rewritten(merge_transposes, model(nodes, outputs=[value("y", ("batch", WIDTH, 4))]), 1)) == {"Transpose": 1}


def test_a_branch_that_reads_the_tensor_between_still_does() -> None:
    after = rewritten(merge_transposes, moves_in_a_branch(), 1)
    assert moves(after) == {"Transpose": 1}
