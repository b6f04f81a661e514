"""What each operator needs of its inputs for some rows of its output, and which operators mix them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from tests.variants.graphs import WIDTH, equal_outputs, model, node, operators, value
from tests.variants.passes.selecting_checks import TIME, WEIGHT, chain, dims, moved
from variants.passes.fuse_bias_gelu import fuse_bias_gelu
from variants.passes.fuse_skip_layernorm import fuse_skip_layernorm
from variants.passes.select_early import select_early

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


def test_an_axis_of_the_same_size_in_another_place_is_another_one() -> None:
    assert moved(chain(node("Reshape", "h turned", "z"), axis=2, turned=np.array([0, 8, 4])))[1] == 0


def test_behind_what_mixes_rows_the_rest_still_moves() -> None:
    after, count = moved(chain(node("Softmax", "h", "s", axis=1), node("MatMul", "s weight", "z")))
    assert (count, dims(after)["make_h"], dims(after)["make_z"]) == (1, ["batch", 4, WIDTH], ["batch", 1, WIDTH])


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


@pytest.mark.parametrize("opset", [9, 11, 13])
def test_older_opsets_write_bounds_and_axes_as_attributes(opset: int) -> None:
    after, count = moved(chain(node("Relu", "h", "z"), index=2, opset=opset))
    assert (count, operators(after)) == (1, ["Slice", "Identity", "MatMul", "Relu", "Squeeze"])
