"""Rows that are picked behind row-wise operators are picked before them: fewer rows are computed, and they are the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.variants.graphs import WIDTH, model, node, operators, value
from tests.variants.more_graphs.selecting import Encoder
from tests.variants.pass_contract import PASSES, broken, setting, small_feeds
from tests.variants.passes.selecting_checks import WEIGHT, dims, moved
from variants.explain import listening
from variants.passes.flatten_matmul import flatten_matmul
from variants.passes.fuse_attention import fuse_attention
from variants.passes.select_early import select_early
from variants.passes.split_qkv import split_qkv


def test_of_the_last_block_of_an_encoder_only_the_class_token_is_computed() -> None:
    after, count = moved(Encoder().model())
    found = dims(after)
    assert count == 1
    assert found["make_q_flat"] == found["make_projected"] == found["make_down"] == found["make_n3"] == ["batch", 1, WIDTH]
    assert found["make_k_flat"] == found["make_v_flat"] == ["batch", 5, WIDTH]
    assert found["make_scores"] == ["batch", 2, 1, 5]
    assert not {"h2", "scores"} & {name for made in after.graph.node for name in made.output}, "what holds fewer rows has another name"


def test_what_comes_in_is_sliced_once_a_tensor_and_the_pick_behind_goes() -> None:
    before = Encoder(index=[0], head=False).model()
    after, _ = moved(before)
    assert operators(after).count("Slice") == 2
    assert "Gather" not in operators(after)
    assert after.graph.output[0].name == "y"


@pytest.mark.parametrize("form", [Encoder(packed=True), Encoder(norm="nodes", opset=13), Encoder(target="computed"), Encoder(target="own")])
def test_other_ways_to_write_the_block_do_as_well(form: Encoder) -> None:
    after, count = moved(form.model())
    assert count == 1
    assert dims(after)["make_down"][1:] == [1, WIDTH]


@pytest.mark.parametrize("index", [0, -1, 1, [2], [-2], [0, 1], [3, 1], [-1, 0]], ids=str)
@pytest.mark.parametrize("tokens", [5, "tokens"])
def test_any_few_places_of_any_length_are_moved(index: Any, tokens: int | str) -> None:
    before = Encoder(tokens=tokens, index=index).model()
    shapes = [(2, 4), (3, 7)]
    assert broken(PASSES["select_early"], before, small_feeds(before, shapes), setting(before)) == ""
    assert select_early.run(before)[1] == 1


def test_a_slice_moves_as_a_gather_does() -> None:
    nodes = [node("MatMul", "x weight", "h"), node("Tanh", "h", "z"), node("Slice", "z from to axis", "y")]
    held = {"weight": WEIGHT, "from": np.array([-2]), "to": np.array([2**63 - 1]), "axis": np.array([-2])}
    after, count = moved(model(nodes, held, outputs=[value("y", ("batch", 2, WIDTH))]))
    assert (count, operators(after)) == (1, ["Slice", "MatMul", "Tanh"])


@pytest.mark.parametrize(("tokens", "index"), [(5, [0, 1, 2]), (5, list(range(5))), (1, 0)], ids=str)
def test_more_than_half_of_the_rows_are_left(tokens: int, index: Any) -> None:
    assert moved(Encoder(tokens=tokens, index=index).model())[1] == 0


def test_a_tensor_that_something_else_reads_is_computed_whole() -> None:
    before = Encoder().model(node("Neg", "h1", "more"), outputs=("more",))
    after, count = moved(before)
    assert count == 1
    assert dims(after)["make_projected"] == ["batch", 5, WIDTH]
    assert dims(after)["make_up"] == ["batch", 1, 12]


def test_an_output_in_the_middle_is_computed_whole() -> None:
    before = Encoder().model(outputs=("h2",))
    after, count = moved(before)
    assert (count, dims(after)["make_down"], dims(after)["make_n3"]) == (1, ["batch", 5, WIDTH], ["batch", 1, WIDTH])


def test_what_a_branch_reads_is_computed_whole() -> None:
    inner = helper.make_graph([node("Neg", "h", "turned")], "inner", [], [value("turned")])
    also = helper.make_graph([node("Identity", "x", "kept")], "also", [], [value("kept")])
    nodes = [node("MatMul", "x weight", "h"), node("Relu", "h", "z"), node("Gather", "z index", "y", axis=1)]
    ends = [value("y", ("batch", WIDTH)), value("more")]
    held = {"weight": WEIGHT, "index": np.array(0), "flag": np.array(True)}
    before = model([*nodes, node("If", "flag", "more", then_branch=inner, else_branch=also)], held, outputs=ends)
    after, count = moved(before)
    assert (count, dims(after)["make_h"]) == (0, ["batch", 4, WIDTH])


def test_two_picks_of_the_same_rows_move_together_and_of_others_do_not() -> None:
    nodes = [node("MatMul", "x weight", "h"), node("Relu", "h", "z"), node("Gather", "z one", "a", axis=1)]
    ends = [value("a", ("batch", WIDTH)), value("b", ("batch", 1, WIDTH))]
    held = {"weight": WEIGHT, "one": np.array(1), "other": np.array([-3])}
    after, count = moved(model([*nodes, node("Gather", "z other", "b", axis=1)], held, outputs=ends))
    assert (count, operators(after).count("Slice"), dims(after)["make_h"]) == (2, 1, ["batch", 1, WIDTH])
    assert moved(model([*nodes, node("Gather", "z other", "b", axis=1)], held | {"other": np.array([2])}, outputs=ends))[1] == 0


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (Encoder(index=[0, 1, 2]).model(), "3 of 5 rows are picked, not few enough to compute only those"),
        (Encoder().model(outputs=("n3",)), "other rows of n3 are needed as well"),
    ],
)
def test_it_says_why_a_product_or_a_norm_is_computed_whole(before: onnx.ModelProto, said: str) -> None:
    with listening() as heard:
        assert select_early.run(before)[1] == 0
    assert heard == [f"picked: {said}"]


def test_without_a_product_a_norm_or_attention_nothing_moves() -> None:
    nodes = [node("Relu", "x", "h"), node("Add", "h h", "z"), node("Gather", "z index", "y", axis=1)]
    before = model(nodes, {"index": np.array(0)}, outputs=[value("y", ("batch", WIDTH))])
    with listening() as heard:
        assert moved(before)[1] == 0
    assert heard == ["y: no product, norm or attention is computed for these rows alone, so picking them earlier wins nothing"]


def test_of_an_axis_of_unknown_size_the_number_of_rows_is_known_all_the_same() -> None:
    after, _ = moved(Encoder(tokens="tokens", index=-1).model())
    found = dims(after)
    assert [found[name][1] for name in ("make_q_flat", "make_up", "make_n3")] == [1, 1, 1]


def test_a_query_that_comes_out_of_a_packed_product_is_split_off_first() -> None:
    """Alone only what is behind the packed product is computed for fewer rows."""
    fused, _ = fuse_attention.at("onnx").run(Encoder(packed=True).model())
    split, count = split_qkv.run(fused)
    assert count == 1
    packed, apart = select_early.run(fused), select_early.run(split)
    assert packed[1] == apart[1] == 1
    products = [sum(shape[1:2] == [1] for name, shape in dims(after).items() if name != "make_y") for after, _ in (packed, apart)]
    assert products[1] > products[0]
    assert broken(PASSES["select_early"], split, small_feeds(split), setting(split)) == ""
    assert fuse_attention.stage < split_qkv.stage < select_early.stage < flatten_matmul.stage


@pytest.mark.parametrize("option", ["onnx", "ort"])
def test_a_fused_attention_computes_the_queries_that_are_read(option: str) -> None:
    fused, attentions = fuse_attention.at(option).run(Encoder().model())
    assert attentions == 1
    assert broken(PASSES["select_early"], fused, small_feeds(fused), setting(fused)) == ""
    after, count = select_early.run(fused)
    assert (count, dims(after)["make_q_flat"], dims(after)["make_k_flat"]) == (1, ["batch", 1, WIDTH], ["batch", 5, WIDTH])
