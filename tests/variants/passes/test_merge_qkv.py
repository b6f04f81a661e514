"""Which products of one tensor are merged, that all parts stay what they were, and what is left alone."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from tests.variants.graphs import branch, equal_outputs, model, node, operators, run, value
from tests.variants.more_graphs.attention import Form, feeds
from variants.explain import listening
from variants.passes.fuse_attention import fuse_attention
from variants.passes.merge_qkv import merge_qkv

DRAW = np.random.default_rng(3)
W = {name: DRAW.normal(size=(8, width)).astype(np.float32) for name, width in (("w8", 8), ("u8", 8), ("w4", 4), ("w2", 2))}
B = {name: DRAW.normal(size=width).astype(np.float32) for name, width in (("b8", 8), ("b4", 4), ("c8", 8))}


def products(*pairs: str, **constants: Any) -> onnx.ModelProto:
    """x times each matrix, plus a bias where "w8+b8" names one; the outputs are y0, y1, ..."""
    nodes, outputs = [], []
    held = {name: array for name, array in (W | B | constants).items() if any(name in pair.split("+") for pair in pairs)}
    for place, pair in enumerate(pairs):
        weight, _, bias = pair.partition("+")
        nodes.append(node("MatMul", f"x {weight}", f"h{place}" if bias else f"y{place}"))
        nodes += [node("Add", f"{bias} h{place}", f"y{place}")] if bias else []
        outputs.append(value(f"y{place}", ("batch", 4, held[weight].shape[1])))
    return model(nodes, held, outputs=outputs)


MERGED = {
    "three with biases": products("w8+b8", "u8+c8", "w8+b8"),
    "two of different widths": products("w8+b8", "w4+b4"),
    "one bias is missing": products("w8+b8", "w4", "w2"),
    "no bias at all": products("w8", "w4"),
    "a bias of one number": products("w8+one", "w4+b4", one=np.array([0.5], np.float32)),
    "a matrix used twice": products("w8", "w8+b8"),
}


@pytest.mark.parametrize("form", MERGED)
def test_products_of_one_tensor_become_one(form: str) -> None:
    after, rewrites = merge_qkv.run(MERGED[form])
    counts = Counter(operators(after))
    assert (rewrites, counts["MatMul"], counts["Split"]) == (1, 1, 1)
    assert counts["Add"] == any("+" in name or name.startswith("b") for name in (i.name for i in MERGED[form].graph.initializer))
    onnx.checker.check_model(after, full_check=True)
    equal_outputs(MERGED[form], after)
    assert merge_qkv.run(after) == (after, 0)


def test_before_opset_13_a_split_says_its_sizes_itself() -> None:
    before = products("w8+b8", "w4")
    before.opset_import[0].version = 12
    after, rewrites = merge_qkv.run(before)
    assert rewrites == 1
    onnx.checker.check_model(after, full_check=True)
    equal_outputs(before, after)


def test_gemms_merge_whatever_their_factors() -> None:
    before = model(
        [
            node("Gemm", "x w8 b8", "y", alpha=0.5, beta=2.0),
            node("Gemm", "x turned row", "z", transB=1),
            node("Gemm", "x w4", "v"),
            node("MatMul", "x w2", "u"),
        ],
        {"w8": W["w8"], "b8": B["b8"], "turned": W["u8"], "row": B["c8"][None], "w4": W["w4"], "w2": W["w2"]},
        [value("x", ("batch", 8))],
        [value(name, ("batch", width)) for name, width in (("y", 8), ("z", 8), ("v", 4), ("u", 2))],
    )
    after, rewrites = merge_qkv.run(before)
    assert (rewrites, operators(after)) == (1, ["MatMul", "Add", "Split"])
    equal_outputs(before, after)


def test_keys_and_values_of_another_tensor_than_queries_are_two() -> None:
    before = Form(cross=True).model()
    after, rewrites = merge_qkv.run(before)
    assert (rewrites, Counter(operators(after))["Split"]) == (1, 1)
    given = feeds(before, 2)
    np.testing.assert_allclose(run(after, given)["y"], run(before, given)["y"], 1e-4, 1e-5)


@pytest.mark.parametrize("option", ["onnx", "ort"])
def test_the_projections_of_a_fused_attention_merge(option: str) -> None:
    before = Form().model()
    after, rewrites = merge_qkv.run(fuse_attention.at(option).run(before)[0])
    assert (rewrites, len(after.graph.node)) == (1, 3)
    equal_outputs(before, after)


def test_fp16_stays_fp16() -> None:
    before = Form(dtype=TensorProto.FLOAT16).model()
    after, rewrites = merge_qkv.run(before)
    assert rewrites == 1
    assert {tensor.data_type for tensor in after.graph.initializer if "merged" in tensor.name} == {TensorProto.FLOAT16}
    given = feeds(before, 2)
    np.testing.assert_allclose(run(after, given)["y"], run(before, given)["y"], 1e-2, 2e-2)


def test_a_product_that_is_an_output_before_its_bias_is_a_part_of_its_own() -> None:
    """Its Add stays, as the sum is another tensor."""
    before = model(
        [node("MatMul", "x w8", "y"), node("Add", "y b8", "z"), node("MatMul", "x w4", "v")],
        {"w8": W["w8"], "b8": B["b8"], "w4": W["w4"]},
        outputs=[value("y"), value("z"), value("v", ("batch", 4, 4))],
    )
    after, rewrites = merge_qkv.run(before)
    assert (rewrites, operators(after)) == (1, ["MatMul", "Split", "Add"])
    equal_outputs(before, after)


LEFT_ALONE = {
    "a single product": products("w8+b8"),
    "a matrix that is computed": model(
        [node("Transpose", "x", "turned", perm=[0, 2, 1]), node("MatMul", "x w8", "y"), node("MatMul", "x turned", "z")],
        {"w8": W["w8"]},
        outputs=[value("y"), value("z", ("batch", 4, 4))],
    ),
    "a quantised matrix": model(
        [
            node("DequantizeLinear", "w_int8 step", "w"),
            node("DequantizeLinear", "w_int8 step", "w_2"),
            node("MatMul", "x w", "y"),
            node("MatMul", "x w_2", "z"),
        ],
        {"w_int8": np.ones((8, 8), np.int8), "step": np.float32(0.1)},
        outputs=[value("y"), value("z")],
    ),
    "a stack of matrices": model(
        [node("MatMul", "x stack", "y"), node("MatMul", "x stack_2", "z")],
        {"stack": np.ones((1, 8, 8), np.float32), "stack_2": np.ones((1, 8, 8), np.float32)},
        outputs=[value("y"), value("z")],
    ),
    "the tensor on the right": model(
        [node("MatMul", "square x", "y"), node("MatMul", "square x", "z")],
        {"square": np.eye(4, dtype=np.float32)},
        outputs=[value("y"), value("z")],
    ),
    "inside an If": branch(
        [node("Relu", "x", "t")],
        [node("MatMul", "x w8", "p"), node("MatMul", "x u8", "q"), node("Add", "p q", "e")],
        **{"w8": W["w8"], "u8": W["u8"]},
    ),
}


@pytest.mark.parametrize("form", LEFT_ALONE)
def test_what_is_no_such_group_is_left_alone(form: str) -> None:
    assert merge_qkv.run(LEFT_ALONE[form]) == (LEFT_ALONE[form], 0)


def test_a_matrix_that_another_tensor_needs_as_well_is_left_where_it_is_and_says_why() -> None:
    """Through an Identity too, as exporters write shared weights."""
    for again in ("w8", "alias"):
        nodes = [node("MatMul", "x w8", "y"), node("MatMul", "x w4", "v"), node("Relu", "x", "r"), node("MatMul", f"r {again}", "z")]
        nodes += [node("Identity", "w8", "alias")] if again == "alias" else []
        before = model(
            sorted(nodes, key=lambda made: made.op_type != "Identity"),
            {"w8": W["w8"], "w4": W["w4"]},
            outputs=[value("y"), value("v", ("batch", 4, 4)), value("z")],
        )
        with listening() as heard:
            assert merge_qkv.run(before) == (before, 0)
        assert "shared with a product of another tensor" in heard[0]


def test_a_tensor_that_a_body_reads_as_well_stays() -> None:
    before = branch(
        [node("MatMul", "p w8", "t")],
        [node("Identity", "p", "e")],
        [node("MatMul", "x u8", "p"), node("MatMul", "x w8", "q")],
        w8=W["w8"],
        u8=W["u8"],
    )
    after, _ = merge_qkv.run(before)
    equal_outputs(before, after)
