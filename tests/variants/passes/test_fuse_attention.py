"""Which forms of attention become one operator, that it computes the same, and what is left alone and why."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.variants.graphs import branch, model, node, operators, opset, run, value
from tests.variants.more_graphs.attention import HEADS, LENGTH, SIZE, WIDTH, Form, feeds
from variants.explain import listening
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


@pytest.mark.parametrize("wide", [False, True])
def test_fp16_stays_fp16_and_a_softmax_in_fp32_stays_there(wide: bool) -> None:
    before = Form(dtype=TensorProto.FLOAT16, wide=wide).model()
    after, rewrites = fuse_attention.at("onnx").run(before)
    (made,) = (n for n in after.graph.node if n.op_type == "Attention")
    said = {a.name: helper.get_attribute_value(a) for a in made.attribute}
    assert (rewrites, said.get("softmax_precision")) == (1, TensorProto.FLOAT if wide else None)
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


def _split_by_an_input() -> onnx.ModelProto:
    """How many heads there are is only known when it runs."""
    inputs = [value("x", ("batch", LENGTH, WIDTH)), value("split", (4,), TensorProto.INT64)]
    held = {name: array for name, array in Form().constants().items() if name != "split"}
    return model(Form().nodes(), held, inputs, [value("y", ("batch", LENGTH, WIDTH))])


LEFT_ALONE = {
    "weights that something else reads": (
        Form().model(
            node("Relu", "softened", "z"), outputs=[value("y", ("batch", LENGTH, WIDTH)), value("z", ("batch", HEADS, LENGTH, LENGTH))]
        ),
        "read elsewhere",
    ),
    "weights that are an output": (
        Form().model(outputs=[value("y", ("batch", LENGTH, WIDTH)), value("weights", ("batch", HEADS, LENGTH, LENGTH))]),
        "read elsewhere",
    ),
    "scores that are an output": (
        Form().model(outputs=[value("y", ("batch", LENGTH, WIDTH)), value("product", ("batch", HEADS, LENGTH, LENGTH))]),
        "no product",
    ),
    "a small number written over scores": (Form(mask="filled -1e4").model(), "-10000 over scores"),
    "heads of unknown number": (_split_by_an_input(), "same batch and heads"),
    "a softmax of another axis": (Form(axis=2).model(), ""),
    "a softmax of two axes, as before opset 13": (Form(axis=2, opset=12, heads_in_batch=True).model(), None),
    "a mask that may widen the queries": (Form(mask="added", mask_shape=("batch", 1, "rows", LENGTH)).model(), None),
    "softmax(x w) u, a classifier and a product": (
        model(
            [node("MatMul", "x w", "h"), node("Softmax", "h", "p", axis=-1), node("MatMul", "p u", "y")],
            {"w": np.eye(8, dtype=np.float32), "u": np.eye(8, dtype=np.float32)},
        ),
        "no product",
    ),
    "inside an If": (
        branch(
            [node("Relu", "x", "t")],
            [
                node("Transpose", "x", "xt", perm=[0, 2, 1]),
                node("MatMul", "x xt", "s"),
                node("Softmax", "s", "p", axis=-1),
                node("MatMul", "p x", "e"),
            ],
        ),
        "",
    ),
}


@pytest.mark.parametrize("case", LEFT_ALONE)
def test_what_is_no_such_attention_is_left_alone_and_says_why(case: str) -> None:
    before, why = LEFT_ALONE[case]
    for option in OPERATOR:
        with listening() as heard:
            after, rewrites = fuse_attention.at(option).run(before)
        if why is None:
            continue
        assert (after, rewrites) == (before, 0)
        assert not why or any(why in sentence for sentence in heard)


def test_a_product_that_a_body_reads_as_well_is_left_alone() -> None:
    then = helper.make_graph([node("Relu", "softened", "t")], "then", [], [value("t", ("batch", HEADS, LENGTH, LENGTH))])
    other = helper.make_graph([node("Identity", "softened", "e")], "else", [], [value("e", ("batch", HEADS, LENGTH, LENGTH))])
    choice = node("If", "yes", "z", then_branch=then, else_branch=other)
    outputs = [value("y", ("batch", LENGTH, WIDTH)), value("z", ("batch", HEADS, LENGTH, LENGTH))]
    before = Form().model(choice, outputs=outputs, yes=np.bool_(True))
    assert fuse_attention.at("onnx").run(before)[1] == 0


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


def test_values_of_another_size_than_queries_are_for_onnx_runtimes_operator_alone() -> None:
    """TensorRT-RTX 1.7: "Query, Key, Value tensors must have the same head dimension"."""
    held = Form().constants() | {"w_v": np.random.default_rng(4).normal(size=(WIDTH, 6)).astype(np.float32)}
    nodes = [made for made in Form().nodes() if made.output[0] not in ("v_split", "y")]
    nodes.insert(3, node("Reshape", "v_flat narrow", "v_split"))
    nodes.append(node("Reshape", "turned merge_narrow", "y"))
    held |= {"narrow": np.array([0, -1, HEADS, 3], np.int64), "merge_narrow": np.array([0, -1, 6], np.int64)}
    before = model(
        nodes, {k: a for k, a in held.items() if k != "merge"}, [value("x", ("batch", LENGTH, WIDTH))], [value("y", ("batch", LENGTH, 6))]
    )
    with listening() as heard:
        assert fuse_attention.at("onnx").run(before) == (before, 0)
    assert "another size" in heard[0]
    after, rewrites = fuse_attention.at("ort").run(before)
    assert rewrites == 1
    compare(before, after)
