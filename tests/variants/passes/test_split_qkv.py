"""Which packed products come apart, that all pieces stay what they were, and what is left alone."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from tests.variants.graphs import equal_outputs, model, node, operators, value
from variants.explain import listening
from variants.passes.merge_qkv import merge_qkv
from variants.passes.split_qkv import split_qkv

DRAW = np.random.default_rng(5)
WEIGHT, BIAS = DRAW.normal(size=(8, 12)).astype(np.float32), DRAW.normal(size=12).astype(np.float32)
PIECES = (value("q", ("batch", 4, 5)), value("k", ("batch", 4, 3)), value("v", ("batch", 4, 4)))


def packed(
    *more: onnx.NodeProto, bias: bool = True, outputs: tuple[onnx.ValueInfoProto, ...] = PIECES, **constants: Any
) -> onnx.ModelProto:
    held = {"w": WEIGHT, "b": BIAS, "sizes": np.array([5, 3, 4], np.int64)} | constants
    nodes = [
        node("MatMul", "x w", "h"),
        *([node("Add", "b h", "s")] if bias else []),
        node("Split", f"{'s' if bias else 'h'} sizes", "q k v", axis=-1),
    ]
    return model([*nodes, *more], {name: held[name] for name in held if bias or name != "b"}, outputs=outputs)


@pytest.mark.parametrize("bias", [True, False])
def test_a_packed_product_becomes_one_for_each_piece(bias: bool) -> None:
    before = packed(bias=bias)
    after, rewrites = split_qkv.run(before)
    assert rewrites == 1
    assert Counter(operators(after)) == Counter(MatMul=3, **({"Add": 3} if bias else {}))
    onnx.checker.check_model(after, full_check=True)
    equal_outputs(before, after)
    assert split_qkv.run(after) == (after, 0)


def test_what_merge_qkv_merged_comes_apart_again() -> None:
    apart, _ = split_qkv.run(packed())
    together, merged = merge_qkv.run(apart)
    again, rewrites = split_qkv.run(together)
    assert (merged, rewrites) == (1, 1)
    assert operators(again) == operators(apart)
    equal_outputs(packed(), again)


def test_equal_pieces_need_no_widths_and_a_positive_axis_will_do() -> None:
    before = packed()
    split = before.graph.node[-1]
    del split.input[1:]
    split.attribute[0].i = 2
    for piece in before.graph.output:
        piece.type.tensor_type.shape.dim[2].dim_value = 4
    after, rewrites = split_qkv.run(before)
    assert rewrites == 1
    equal_outputs(before, after)


def test_a_piece_that_is_dropped_takes_its_product_with_it() -> None:
    before = packed(outputs=(PIECES[0], PIECES[2]))
    after, _ = split_qkv.run(before)
    assert Counter(operators(after)) == Counter(MatMul=2, Add=2)
    equal_outputs(before, after)


@pytest.mark.parametrize(
    ("before", "why"),
    [
        (packed(node("Relu", "s", "whole"), outputs=(*PIECES, value("whole", ("batch", 4, 12)))), "something else reads the product whole"),
        (packed(outputs=(*PIECES, value("s", ("batch", 4, 12)))), "something else reads the product whole"),
        (packed(outputs=(*PIECES, value("h", ("batch", 4, 12)))), "something else reads the product without its bias"),
        (packed(b=DRAW.normal(size=(4, 12)).astype(np.float32)), "what is added to the product is no constant row"),
    ],
)
def test_what_is_read_otherwise_is_left_alone_and_told(before: onnx.ModelProto, why: str) -> None:
    with listening() as said:
        assert split_qkv.run(before) == (before, 0)
    assert [sentence.partition(": ")[2] for sentence in said] == [why]


def test_pieces_of_the_rows_are_none_of_the_products() -> None:
    nodes = [node("MatMul", "x w", "h"), node("Split", "h sizes", "q k", axis=1)]
    rows = [value("q", ("batch", 1, 12)), value("k", ("batch", 3, 12))]
    before = model(nodes, {"w": WEIGHT, "sizes": np.array([1, 3], np.int64)}, outputs=rows)
    assert split_qkv.run(before) == (before, 0)


def test_half_precision_stays_half() -> None:
    half = TensorProto.FLOAT16
    nodes = [node("MatMul", "x w", "h"), node("Add", "h b", "s"), node("Split", "s", "q k", axis=-1)]
    pieces = [value(name, ("batch", 4, 6), half) for name in "qk"]
    before = model(nodes, {"w": WEIGHT.astype(np.float16), "b": BIAS.astype(np.float16)}, [value("x", dtype=half)], pieces)
    after, rewrites = split_qkv.run(before)
    onnx.checker.check_model(after, full_check=True)
    assert rewrites == 1
    assert {tensor.data_type for tensor in after.graph.initializer} == {half}
