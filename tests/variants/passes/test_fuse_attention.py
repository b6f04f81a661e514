"""Which forms of attention become one operator, that it computes the same, and what is left alone and why."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.variants.graphs import model, node, operators, opset, run, value
from tests.variants.more_graphs.attention import HEADS, LENGTH, SIZE, WIDTH, Form, bare, feeds
from variants.passes.fuse_attention import fuse_attention

OPERATOR = {"onnx": "Attention", "ort": "MultiHeadAttention"}
FORMS = {
    "scaled after the product": Form(),
    "divided after the product": Form(scale="div"),
    "queries scaled": Form(scale="query"),
    "keys scaled": Form(scale="key"),
    "both scaled": Form(scale="both"),
    "scaled by what is computed from a shape": Form(scale="computed"),
    "not scaled": Form(scale=""),
    "a mask that is added": Form(mask="added"),
    "a mask of all queries that is added": Form(mask="added", mask_shape=("batch", 1, LENGTH, LENGTH)),
    "a mask by head that is added": Form(mask="added by head", mask_shape=(1, HEADS, LENGTH, LENGTH)),
    "a mask of two dimensions": Form(mask="added", mask_shape=(LENGTH, LENGTH)),
    "a boolean mask that is added": Form(mask="added bool"),
    "a boolean mask written over scores": Form(mask="filled"),
    "a boolean mask written over scores and weights": Form(mask="filled and zeroed"),
    "a boolean mask of the least number": Form(mask="filled finite"),
    "a search for NaN": Form(mask="nan guard"),
    "a mask below the scale": Form(mask="filled", under=True),
    "a mask of the least number below the scale": Form(mask="filled finite", under=True, scale="div"),
    "a mask below the scale that is added": Form(mask="added", under=True),
    "keys transposed twice": Form(key="twice"),
    "keys scaled between transposes": Form(key="scaled between", scale="both"),
    "a dropout and casts between": Form(between=("Dropout", "Cast", "Identity")),
    "queries of another length than keys": Form(cross=True, mask="filled and zeroed", mask_shape=("batch", 1, 1, "keys")),
    "one projection, split": Form(packed="split"),
    "one projection, gathered": Form(packed="gather"),
    "heads not merged": Form(merged=False),
    "heads not merged, rows zeroed": Form(merged=False, mask="filled and zeroed"),
    "heads in the batch": Form(heads_in_batch=True),
    "heads in the batch, masked": Form(heads_in_batch=True, mask="added", mask_shape=(LENGTH, LENGTH)),
    "heads in the batch, masked each": Form(heads_in_batch=True, mask="filled", mask_shape=(1, LENGTH, LENGTH)),
    "the axis counted from the front": Form(axis=3),
    "opset 17": Form(opset=17, mask="filled and zeroed"),
    "opset 18": Form(opset=18, mask="filled and zeroed"),
}
BOTH = pytest.mark.parametrize("option", OPERATOR)
CLOSE = 1e-5


def compare(before: onnx.ModelProto, after: onnx.ModelProto, rtol: float = 1e-4, atol: float = CLOSE) -> None:
    """Equal at two batch sizes; a row that hides all its keys may be NaN before and anything after."""
    onnx.checker.check_model(after, full_check=True)
    for batch in (1, 3):
        given = feeds(before, batch, seed=batch)
        for name, wanted in run(before, given).items():
            got = run(after, given)[name]
            known = ~np.isnan(wanted)
            assert known.any()
            np.testing.assert_allclose(got[known], wanted[known], rtol, atol)


@BOTH
@pytest.mark.parametrize("form", FORMS)
def test_attention_becomes_one_operator_that_computes_the_same(form: str, option: str) -> None:
    before = FORMS[form].model()
    after, rewrites = fuse_attention.at(option).run(before)
    assert (rewrites, Counter(operators(after))[OPERATOR[option]]) == (1, 1)
    assert not {"Softmax", "IsNaN"} & set(operators(after))
    compare(before, after)
    assert fuse_attention.at(option).run(after) == (after, 0)


@BOTH
@pytest.mark.parametrize("mask", ["filled and zeroed", "nan guard"])
def test_a_row_that_hides_all_keys_stays_zero_where_it_was(mask: str, option: str) -> None:
    hides = mask == "filled and zeroed"
    before = Form(mask=mask).model()  # type: ignore[arg-type]
    given = feeds(before, 2) | {"mask": np.array([[[[hides] * LENGTH]], [[[hides, not hides] + [hides] * 3]]])}
    wanted, got = run(before, given)["y"], run(fuse_attention.at(option).run(before)[0], given)["y"]
    assert not wanted[0].any()
    assert wanted[1].any()
    np.testing.assert_allclose(got, wanted, 1e-4, CLOSE)


@BOTH
@pytest.mark.parametrize("form", ["written over scores", "added by a Where", "added by a product"])
def test_a_row_that_hides_all_keys_by_the_least_number_keeps_its_mean(form: str, option: str) -> None:
    """ONNX Runtime's Attention takes a mask of nothing but the least number for -inf, and gives zeros."""
    made, held = Form(mask="filled finite"), Form(mask="filled finite").constants()
    nodes = made.nodes()
    at = next(place for place, one in enumerate(nodes) if one.op_type == "Where")
    if form != "written over scores":
        nodes[at : at + 1] = [node("Where", "mask least nought", "bias"), node("Add", "bias scaled", "masked")]
        held |= {"nought": np.float32(0)}
    if form == "added by a product":
        nodes[at : at + 1] = [node("Cast", "mask", "hidden", to=TensorProto.FLOAT), node("Mul", "hidden least", "bias")]
        del held["nought"]
    inputs = [value("x", ("batch", LENGTH, WIDTH)), value("mask", ("batch", 1, 1, LENGTH), TensorProto.BOOL)]
    before = model(nodes, held, inputs, [value("y", ("batch", LENGTH, WIDTH))])
    given = feeds(before, 2) | {"mask": np.array([[[[True] * LENGTH]], [[[True, False] + [True] * 3]]])}
    after, rewrites = fuse_attention.at(option).run(before)
    assert rewrites == 1
    np.testing.assert_allclose(run(after, given)["y"], run(before, given)["y"], 1e-4, CLOSE)


@BOTH
def test_the_split_and_the_merge_of_heads_vanish(option: str) -> None:
    after, _ = fuse_attention.at(option).run(Form(key="scaled between", scale="both").model())
    assert sorted(operators(after)) == sorted([OPERATOR[option], "MatMul", "MatMul", "MatMul"])


@BOTH
def test_one_projection_for_three_is_split_along_its_columns(option: str) -> None:
    after, _ = fuse_attention.at(option).run(Form(packed="split").model())
    assert operators(after) == ["MatMul", "Split", OPERATOR[option]]


def test_the_operator_says_scale_and_heads() -> None:
    (onnxs,) = (n for n in fuse_attention.at("onnx").run(Form(scale="both").model())[0].graph.node if n.op_type == "Attention")
    said = {a.name: helper.get_attribute_value(a) for a in onnxs.attribute}
    assert said.pop("scale") == pytest.approx(SIZE**-0.5)
    assert said == {"q_num_heads": HEADS, "kv_num_heads": HEADS}
    (orts,) = (n for n in fuse_attention.at("ort").run(Form().model())[0].graph.node if n.op_type == "MultiHeadAttention")
    assert orts.domain == "com.microsoft"


def test_the_options_say_which_operators_they_write() -> None:
    assert [fuse_attention.at(option).domain for option in fuse_attention.options] == ["", "com.microsoft"]
    assert not fuse_attention.routine


def test_the_opset_is_raised_for_onnxs_operator_alone() -> None:
    assert [opset(fuse_attention.at(option).run(Form().model())[0]) for option in OPERATOR] == [23, 13]


@BOTH
def test_layers_share_what_is_made_of_their_mask(option: str) -> None:
    one, other = (Form(mask="filled and zeroed", prefix=prefix) for prefix in ("a_", "b_"))
    inputs = [value("x", ("batch", LENGTH, WIDTH)), value("mask", ("batch", 1, 1, LENGTH), TensorProto.BOOL)]
    before = model(
        [*one.nodes(), *other.nodes(), node("Add", "a_y b_y", "y")],
        one.constants() | other.constants(),
        inputs,
        [value("y", ("batch", LENGTH, WIDTH))],
    )
    after, rewrites = fuse_attention.at(option).run(before)
    assert rewrites == 2
    assert Counter(operators(after))["Expand"] == Counter(operators(after))["ReduceMax"] == 1
    compare(before, after)


@BOTH
def test_fp16_stays_fp16(option: str) -> None:
    before = Form(dtype=TensorProto.FLOAT16).model()
    after, rewrites = fuse_attention.at(option).run(before)
    assert rewrites == 1
    assert "Cast" not in operators(after)
    compare(before, after, 1e-2, 2e-2)


def test_a_relative_position_is_a_mask_by_head() -> None:
    """Transformer-XL adds a product of its own to the scores before they are scaled."""
    table = np.random.default_rng(2).normal(size=(1, HEADS, SIZE, LENGTH)).astype(np.float32)
    nodes = Form().nodes()
    at = next(place for place, made in enumerate(nodes) if made.op_type == "Mul")
    nodes[at].input[0] = "sum"
    nodes[at:at] = [node("MatMul", "q table", "place"), node("Add", "product place", "sum")]
    before = model(
        nodes, Form().constants() | {"table": table}, [value("x", ("batch", LENGTH, WIDTH))], [value("y", ("batch", LENGTH, WIDTH))]
    )
    for option in OPERATOR:
        after, rewrites = fuse_attention.at(option).run(before)
        assert rewrites == 1
        compare(before, after)


def test_what_else_reads_the_turned_output_gets_it_still() -> None:
    before = Form().model(
        node("Relu", "turned", "z"), outputs=[value("y", ("batch", LENGTH, WIDTH)), value("z", ("batch", LENGTH, HEADS, SIZE))]
    )
    for option in OPERATOR:
        after, rewrites = fuse_attention.at(option).run(before)
        assert rewrites == 1
        compare(before, after)


def test_an_output_in_the_middle_keeps_its_name_and_value() -> None:
    outputs = [
        value("y", ("batch", LENGTH, WIDTH)),
        value("turned", ("batch", LENGTH, HEADS, SIZE)),
        value("q", ("batch", HEADS, LENGTH, SIZE)),
    ]
    before = Form().model(outputs=outputs)
    for option in OPERATOR:
        after, rewrites = fuse_attention.at(option).run(before)
        assert rewrites == 1
        compare(before, after)


@BOTH
def test_a_mask_for_each_of_the_heads_in_the_batch_stays_with_its_own(option: str) -> None:
    before = bare((6, LENGTH, SIZE), (6, LENGTH, LENGTH))
    after, rewrites = fuse_attention.at(option).run(before)
    assert rewrites == 1
    compare(before, after)


@BOTH
def test_heads_split_off_with_the_batch_regrouped_are_split_as_before(option: str) -> None:
    """[2, 6, 8] as [3, 4] tokens: the operator cannot read [2, 6, 8] itself."""
    held = Form().constants() | {"split": np.array([3, 4, HEADS, SIZE], np.int64), "merge": np.array([2, 6, WIDTH], np.int64)}
    before = model(Form().nodes(), held, [value("x", (2, 6, WIDTH))], [value("y", (2, 6, WIDTH))])
    after, rewrites = fuse_attention.at(option).run(before)
    assert rewrites == 1
    compare(before, after)


def test_keys_that_are_used_twice_feed_both() -> None:
    again = [node("MatMul", "q k", "other_product"), node("Relu", "other_product", "z")]
    before = Form().model(*again, outputs=[value("y", ("batch", LENGTH, WIDTH)), value("z", ("batch", HEADS, LENGTH, LENGTH))])
    after, rewrites = fuse_attention.at("onnx").run(before)
    assert rewrites == 1
    compare(before, after)


@BOTH
def test_all_attention_of_vit_digits_is_fused(option: str, vit: onnx.ModelProto) -> None:
    after, rewrites = fuse_attention.at(option).run(vit)
    counts = Counter(operators(after))
    assert (rewrites, counts[OPERATOR[option]], counts["Softmax"]) == (6, 6, 0)
    assert counts["Transpose"] == 1, "that of the patches"
