"""Rows that are picked behind row-wise operators are picked before them: fewer rows are computed, and they are the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.variants.graphs import WIDTH, copy, equal_outputs, model, node, operators, value
from tests.variants.more_graphs.selecting import Encoder
from tests.variants.pass_contract import PASSES, broken, setting, small_feeds
from variants.explain import listening
from variants.passes.flatten_matmul import flatten_matmul
from variants.passes.fuse_attention import fuse_attention
from variants.passes.fuse_bias_gelu import fuse_bias_gelu
from variants.passes.fuse_skip_layernorm import fuse_skip_layernorm
from variants.passes.select_early import select_early
from variants.passes.split_qkv import split_qkv

TIME = ("batch", "time", WIDTH)
WEIGHT = np.random.default_rng(5).normal(size=(WIDTH, WIDTH)).astype(np.float32)


def moved(before: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
    """After the pass, the whole contract checked."""
    assert broken(PASSES["select_early"], before, small_feeds(before), setting(before)) == ""
    return select_early.run(copy(before))


def dims(graph: onnx.ModelProto) -> dict[str, list[int | str]]:
    """Shapes of what nodes make, by the node."""
    known = onnx.shape_inference.infer_shapes(graph, strict_mode=True, data_prop=True).graph
    shapes = {one.name: [d.dim_value or d.dim_param for d in one.type.tensor_type.shape.dim] for one in (*known.value_info, *known.output)}
    return {made.name: shapes.get(made.output[0], []) for made in graph.graph.node}


def chain(*nodes: onnx.NodeProto, index: Any = 0, axis: int = 1, opset: int = 17, **held: Any) -> onnx.ModelProto:
    """x [batch, 4, 8] -> h by a product, `nodes` make z of it -> y = the rows `index` of z along `axis`, of a shape that onnx infers."""
    made = [node("MatMul", "x weight", "h"), *nodes, node("Gather", "z index", "y", axis=axis)]
    held = {"weight": WEIGHT, "index": np.array(index, np.int64)} | held
    graph = model([*made, node("Identity", "x", "same")], held, outputs=[value("same")], opset=opset)
    graph.graph.output.append(onnx.shape_inference.infer_shapes(_with_output(graph), data_prop=True).graph.output[-1])
    return graph


def _with_output(graph: onnx.ModelProto) -> onnx.ModelProto:
    made = copy(graph)
    made.graph.output.append(helper.make_empty_tensor_value_info("y"))
    made.graph.output[-1].type.tensor_type.elem_type = TensorProto.FLOAT
    return made


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


MAPS = {
    "a product of two tensors": [node("Transpose", "x", "t", perm=[0, 2, 1]), node("MatMul", "h t", "z")],
    "softmax over the columns": [node("Softmax", "h", "z", axis=-1)],
    "a mean over the columns": [node("ReduceMean", "h", "m", axes=[2]), node("Sub", "h m", "z")],
    "columns parted and joined": [node("Split", "h", "a b", axis=-1), node("Concat", "b a", "z", axis=2)],
    "a constant for every row": [node("Add", "rows h", "z")],
    "a constant row for all": [node("Mul", "h row", "z")],
    "a constant for each row, of lower rank": [node("Add", "h matrix", "z")],
    "an axis put in front and taken away": [node("Unsqueeze", "h first", "u"), node("Relu", "u", "r"), node("Squeeze", "r first", "z")],
    "columns parted into two axes": [node("Reshape", "h heads", "p"), node("Sigmoid", "p", "s"), node("Reshape", "s whole", "z")],
    "some columns": [node("Slice", "h nought two last", "z")],
    "a choice": [node("Greater", "h row", "c"), node("Where", "c h rows", "z")],
    "half precision between": [node("Cast", "h", "c", to=TensorProto.FLOAT16), node("Cast", "c", "z", to=TensorProto.FLOAT)],
    "a table by what the rows say": [
        node("Cast", "h", "c", to=TensorProto.INT64),
        node("Clip", "c least most", "i"),
        node("Gather", "table i", "z"),
    ],
    "some columns by a Gather": [node("Gather", "h first", "z", axis=2)],
    "one of the batch, by a matrix of places": [node("Gather", "h square", "g", axis=0), node("Squeeze", "g first", "z")],
    "bytes with one scale": [node("QuantizeLinear", "h step", "q"), node("DequantizeLinear", "q step", "z")],
    "itself twice": [node("Mul", "h h", "s"), node("Add", "s h", "z")],
}
HELD: dict[str, Any] = {
    "rows": np.arange(4, dtype=np.float32).reshape(1, 4, 1),
    "row": np.arange(8, dtype=np.float32),
    "matrix": np.arange(32, dtype=np.float32).reshape(4, 8),
    "first": np.array([0]),
    "heads": np.array([-1, 4, 2, 4]),
    "whole": np.array([-1, 4, 8]),
    "nought": np.array([0]),
    "two": np.array([2]),
    "last": np.array([-1]),
    "least": np.array(0),
    "most": np.array(2),
    "table": np.array([3, 1, 4], np.float32),
    "square": np.array([[0]]),
    "step": np.array(0.125, np.float32),
}


def held(nodes: Sequence[onnx.NodeProto]) -> dict[str, Any]:
    """What of HELD these read."""
    return {name: HELD[name] for made in nodes for name in made.input if name in HELD}


@pytest.mark.parametrize("index", [1, [3]], ids=str)
@pytest.mark.parametrize("which", MAPS)
def test_the_same_rows_come_through(which: str, index: Any) -> None:
    after, count = moved(chain(*MAPS[which], index=index, **held(MAPS[which])))
    assert count == 1
    assert dims(after)["make_h"] == ["batch", 1, WIDTH]


MIXED = {
    "softmax over the rows": [node("Softmax", "h", "z", axis=1)],
    "a mean over the rows": [node("ReduceMean", "h", "m", axes=[1]), node("Add", "h m", "z")],
    "rows joined": [node("Concat", "h x", "z", axis=1)],
    "rows and columns in one": [node("Reshape", "h other", "z")],
    "rows and the batch in one": [node("Reshape", "h joined", "z")],
    "a norm of rows and columns": [node("LayerNormalization", "h plane", "z", axis=1)],
    "bytes with a scale for each row": [node("QuantizeLinear", "h steps", "q", axis=1), node("DequantizeLinear", "q steps", "z", axis=1)],
    "rows of which the first is left out": [node("Slice", "h from to from", "z")],
    "a running sum": [node("CumSum", "h place", "z")],
}
FURTHER: dict[str, Any] = {"other": np.array([0, 8, 4]), "joined": np.array([1, -1, 8]), "place": np.array(1)}
FURTHER |= {
    "plane": np.ones((4, 8), np.float32),
    "steps": np.arange(1, 5, dtype=np.float32) / 8,
    "from": np.array([1]),
    "to": np.array([4]),
}


@pytest.mark.parametrize("which", MIXED)
def test_what_mixes_rows_stays_in_front(which: str) -> None:
    names = {name for made in MIXED[which] for name in made.input}
    _, count = moved(chain(*MIXED[which], **{name: array for name, array in FURTHER.items() if name in names}))
    assert count == 0


def test_behind_what_mixes_rows_the_rest_still_moves() -> None:
    after, count = moved(chain(node("Softmax", "h", "s", axis=1), node("MatMul", "s weight", "z")))
    assert (count, dims(after)["make_h"], dims(after)["make_z"]) == (1, ["batch", 4, WIDTH], ["batch", 1, WIDTH])


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


def test_a_computed_target_of_a_reshape_becomes_numbers() -> None:
    nodes = [node("Shape", "x", "sizes"), node("MatMul", "x weight", "h"), node("Reshape", "h sizes", "z")]
    held = {"weight": WEIGHT, "index": np.array(0)}
    picked = node("Gather", "z index", "y", axis=1)
    after, count = moved(model([*nodes, picked], held, [value("x", TIME)], [value("y", ("batch", WIDTH))]))
    assert (count, "Shape" in operators(after)) == (1, False)


def test_sizes_of_other_axes_are_read_of_the_fewer_rows() -> None:
    """The width of the rows is asked for as exporters do for an attention's scale."""
    scale = [node("Shape", "h", "sizes"), node("Slice", "sizes last end", "size"), node("Cast", "size", "factor", to=TensorProto.FLOAT)]
    held: dict[str, Any] = {"last": np.array([-1]), "end": np.array([2**63 - 1])}
    after, count = moved(chain(*scale, node("Mul", "h factor", "z"), **held))
    assert (count, dims(after)["make_h"]) == (1, ["batch", 1, WIDTH])
    assert moved(chain(*scale, node("Mul", "h factor", "z"), **held | {"last": np.array([-2]), "end": np.array([-1])}))[1] == 0
    for place, count in ((2, 1), (1, 0), (-2, 0)):
        picked = [scale[0], node("Gather", "sizes place", "size"), scale[2]]
        assert moved(chain(*picked, node("Mul", "h factor", "z"), place=np.array(place)))[1] == count


def test_of_an_axis_of_unknown_size_the_number_of_rows_is_known_all_the_same() -> None:
    after, _ = moved(Encoder(tokens="tokens", index=-1).model())
    found = dims(after)
    assert [found[name][1] for name in ("make_q_flat", "make_up", "make_n3")] == [1, 1, 1]


def test_before_opset_13_softmax_runs_over_its_axis_and_all_behind() -> None:
    assert moved(chain(node("Softmax", "h", "z", axis=1), opset=11))[1] == 0
    assert moved(chain(node("Softmax", "h", "z", axis=2), opset=11))[1] == 1


@pytest.mark.parametrize("turned", [0, 1])
def test_a_gemm_computes_some_rows_but_all_columns(turned: int) -> None:
    held = {"weight": WEIGHT, "shift": np.arange(6, dtype=np.float32)[:, None], "index": np.array(1)}
    shape = (WIDTH, 6) if turned else (6, WIDTH)
    for axis, count, left in ((0, 1, WIDTH), (1, 0, 6)):
        nodes = [node("Gemm", "x weight shift", "z", transA=turned), node("Gather", "z index", "y", axis=axis)]
        assert moved(model(nodes, held, [value("x", shape)], [value("y", (left,))]))[1] == count


def test_rows_that_may_be_one_for_all_or_one_each_are_left() -> None:
    nodes = [node("MatMul", "x weight", "h"), node("Add", "h other", "z"), node("Gather", "z index", "y", axis=1)]
    ports = [value("x"), value("other", ("batch", "one or four", WIDTH))]
    before = model(nodes, {"weight": WEIGHT, "index": np.array(0)}, ports, [value("y", ("batch", WIDTH))])
    assert select_early.run(before)[1] == 0


@pytest.mark.parametrize(("target", "count"), [("one t open u eight", 1), ("one t b u open", 0)])
def test_a_target_that_leaves_the_rows_open_is_kept_where_no_numbers_say_it(target: str, count: int) -> None:
    nodes = [node("MatMul", "x weight", "h"), node("Shape", "x", "sizes")]
    nodes += [node("Gather", f"sizes at_{place}", name) for place, name in enumerate("tbu")]
    nodes += [node("Concat", target, "target", axis=0), node("Reshape", "h target", "z"), node("Gather", "z index", "y", axis=2)]
    held = {"weight": WEIGHT, "index": np.array(0), "one": np.array([1]), "open": np.array([-1]), "eight": np.array([8])}
    held |= {f"at_{place}": np.array([place]) for place in range(3)}
    read = {name for made in nodes for name in made.input}
    given = {name: array for name, array in held.items() if name in read}
    ends = [value("y", (1, "t", "u", WIDTH))]
    assert moved(model(nodes, given, [value("x", ("t", "b", "u", WIDTH))], ends))[1] == count


def test_a_mask_with_a_row_for_each_query_is_sliced_with_them_and_one_for_all_is_not() -> None:
    nodes = [node("MatMul", "x weight", "h"), node("Transpose", "x", "t", perm=[0, 2, 1]), node("MatMul", "h t", "s")]
    nodes += [node("Add", "mask s", "m"), node("Softmax", "m", "p"), node("MatMul", "p x", "z"), node("Gather", "z index", "y", axis=1)]
    for rows, slices in ((4, 2), (1, 1)):
        ports = [value("x"), value("mask", ("batch", rows, 4))]
        before = model(nodes, {"weight": WEIGHT, "index": np.array(3)}, ports, [value("y", ("batch", WIDTH))])
        after, count = moved(before)
        assert (count, operators(after).count("Slice")) == (1, slices)


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


def test_a_norm_of_a_sum_and_a_gelu_with_a_bias_are_computed_for_the_rows_that_are_read() -> None:
    nodes = [node("MatMul", "x weight", "h"), node("Add", "x h", "s"), node("LayerNormalization", "s scale bias", "n")]
    nodes += [node("MatMul", "n weight", "u"), node("Add", "u bias", "b"), node("Gelu", "b", "g"), node("MatMul", "g weight", "d")]
    nodes += [node("Add", "n d", "r"), node("LayerNormalization", "r scale bias", "z"), node("Gather", "z index", "y", axis=1)]
    held = {"weight": WEIGHT, "index": np.array(0), "scale": np.ones(8, np.float32), "bias": np.ones(8, np.float32)}
    before = model(nodes, held, outputs=[value("y", ("batch", WIDTH))], opset=20)
    fused = fuse_bias_gelu.run(fuse_skip_layernorm.run(before)[0])[0]
    assert {"SkipLayerNormalization", "BiasGelu"} <= set(operators(fused))
    after, count = select_early.run(fused)
    assert (count, operators(after).count("Slice"), operators(after)[0]) == (1, 1, "Slice")
    equal_outputs(before, after)


def test_the_mask_of_an_attention_goes_with_its_queries() -> None:
    ports = [*(value(name, ("batch", 2, 5, 4)) for name in "qkv"), value("mask", ("batch", 1, 5, 5))]
    nodes = [node("Attention", "q k v mask", "z"), node("Gather", "z index", "y", axis=2)]
    after, count = moved(model(nodes, {"index": np.array(4)}, ports, [value("y", ("batch", 2, 4))], opset=23))
    assert (count, operators(after).count("Slice")) == (1, 2)


def test_a_causal_attention_is_left_as_it_counts_its_rows() -> None:
    heads = [value(name, ("batch", 2, 5, 4)) for name in "qkv"]
    for causal, count in ((0, 1), (1, 0)):
        nodes = [node("Attention", "q k v", "z", is_causal=causal), node("Gather", "z index", "y", axis=2)]
        before = model(nodes, {"index": np.array(4)}, heads, [value("y", ("batch", 2, 4))], opset=23)
        assert moved(before)[1] == count


@pytest.mark.parametrize("option", ["onnx", "ort"])
def test_a_fused_attention_computes_the_queries_that_are_read(option: str) -> None:
    fused, attentions = fuse_attention.at(option).run(Encoder().model())
    assert attentions == 1
    assert broken(PASSES["select_early"], fused, small_feeds(fused), setting(fused)) == ""
    after, count = select_early.run(fused)
    assert (count, dims(after)["make_q_flat"], dims(after)["make_k_flat"]) == (1, ["batch", 1, WIDTH], ["batch", 5, WIDTH])


@pytest.mark.parametrize("opset", [9, 11, 13])
def test_older_opsets_write_bounds_and_axes_as_attributes(opset: int) -> None:
    after, count = moved(chain(node("Relu", "h", "z"), index=2, opset=opset))
    assert (count, operators(after)) == (1, ["Slice", "Identity", "MatMul", "Relu", "Squeeze"])
