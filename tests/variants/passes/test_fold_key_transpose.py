"""How many moves and scalars are left around the product of queries and keys, and that it stays what it was."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from tests.variants.graphs import Dims, branch, model, node, operators, run, value
from tests.variants.more_graphs.attention import HEADS, LENGTH, SIZE, WIDTH, Form, feeds
from variants.explain import listening
from variants.passes.fold_key_transpose import fold_key_transpose
from variants.passes.fuse_attention import fuse_attention

OUT = (value("y", ("batch", LENGTH, WIDTH)),)
LONG = ("batch", HEADS, LENGTH, SIZE)


def compare(before: onnx.ModelProto, after: onnx.ModelProto, tolerance: float = 1e-5) -> None:
    onnx.checker.check_model(after, full_check=True)
    for batch in (1, 3):
        given = feeds(before, batch)
        for name, wanted in run(before, given).items():
            np.testing.assert_allclose(run(after, given)[name], wanted, 1e-4 + tolerance, tolerance)


def keys(*nodes: onnx.NodeProto, shape: Dims = ("batch", LENGTH, HEADS, SIZE), opset: int = 13, **constants: object) -> onnx.ModelProto:
    """y = q times what the nodes make of k, called kt."""
    return model(
        [*nodes, node("MatMul", "q kt", "y")],
        constants,
        [value("q", LONG), value("k", shape)],
        [value("y", ("batch", HEADS, LENGTH, LENGTH))],
        opset,
    )


FORMS = {
    "transposed twice": (Form(key="twice"), 1),
    "scaled between, both scaled": (Form(key="scaled between", scale="both"), 1),
    "scaled between, the scores scaled": (Form(key="scaled between", scale="div"), 1),
    "keys scaled alone, which the projection takes in": (Form(scale="key"), 0),
    "scaled by what a shape says": (Form(key="scaled between", scale="computed"), 1),
    "scaled between and not elsewhere": (Form(key="scaled between", scale=""), 0),
}


@pytest.mark.parametrize("form", FORMS)
def test_one_transpose_is_left_to_the_keys_and_no_scalar(form: str) -> None:
    made, scalars = FORMS[form]
    before = made.model()
    after, rewrites = fold_key_transpose.run(before)
    counts = Counter(operators(after))
    assert (rewrites, counts["Transpose"], counts["Mul"] + counts["Div"]) == (1, 4, scalars)
    compare(before, after)
    assert fold_key_transpose.run(after) == (after, 0)


@pytest.mark.parametrize("form", ["once", "twice", "scaled between"])
def test_attention_is_fused_after_it_as_before(form: str) -> None:
    before = Form(key=form, scale="both").model()  # type: ignore[arg-type]
    after, rewrites = fuse_attention.run(fold_key_transpose.run(before)[0])
    assert (rewrites, len(after.graph.node)) == (1, 4)
    compare(before, after)


def test_a_scalar_that_nothing_takes_in_stands_before_the_transpose() -> None:
    before = keys(
        node("Transpose", "k", "heads", perm=[0, 2, 1, 3]),
        node("Transpose", "heads", "turned", perm=[0, 1, 3, 2]),
        node("Mul", "turned half", "kt"),
        half=np.float32(0.5),
    )
    with listening() as heard:
        after, rewrites = fold_key_transpose.run(before)
    assert (rewrites, operators(after)) == (1, ["Mul", "Transpose", "MatMul"])
    assert "nothing else takes it in" in heard[0]
    compare(before, after)
    assert fold_key_transpose.run(after) == (after, 0)


def test_a_cast_between_stands_before_the_transpose() -> None:
    before = model(
        [
            node("Transpose", "k", "heads", perm=[0, 2, 1, 3]),
            node("Cast", "heads", "narrow", to=TensorProto.FLOAT16),
            node("Transpose", "narrow", "kt", perm=[0, 1, 3, 2]),
            node("MatMul", "q kt", "y"),
        ],
        {},
        [value("q", LONG, TensorProto.FLOAT16), value("k", ("batch", LENGTH, HEADS, SIZE))],
        [value("y", ("batch", HEADS, LENGTH, LENGTH), TensorProto.FLOAT16)],
    )
    after, rewrites = fold_key_transpose.run(before)
    assert (rewrites, operators(after)) == (1, ["Cast", "Transpose", "MatMul"])
    compare(before, after, 1e-2)


def test_heads_joined_with_the_batch_between_are_joined_after() -> None:
    before = model(
        [
            node("Transpose", "k", "heads", perm=[0, 2, 1, 3]),
            node("Reshape", "heads joined", "rows"),
            node("Transpose", "rows", "kt", perm=[0, 2, 1]),
            node("Exp", "q", "e"),
            node("MatMul", "e kt", "y"),
        ],
        {"joined": np.array([-1, LENGTH, SIZE], np.int64)},
        [value("q", (3 * HEADS, LENGTH, SIZE)), value("k", (3, LENGTH, HEADS, SIZE))],
        [value("y", (3 * HEADS, LENGTH, LENGTH))],
    )
    after, rewrites = fold_key_transpose.run(before)
    assert (rewrites, Counter(operators(after))["Transpose"]) == (1, 1)
    compare(before, after)
    assert fold_key_transpose.run(after) == (after, 0)


@pytest.mark.parametrize(("scale", "left"), [("query", 1), ("div", 2)])
def test_in_fp16_the_keys_factor_goes_where_the_product_stays_small(scale: str, left: int) -> None:
    """Not onto the scores: what overflows there has overflowed before. This projection is read elsewhere, so it takes nothing in."""
    form = Form(scale=scale, key="scaled between", dtype=TensorProto.FLOAT16)  # type: ignore[arg-type]
    outputs = (value("y", ("batch", LENGTH, WIDTH), TensorProto.FLOAT16), value("k_flat", ("batch", LENGTH, WIDTH), TensorProto.FLOAT16))
    before = form.model(outputs=outputs)
    after, rewrites = fold_key_transpose.run(before)
    counts = Counter(operators(after))
    assert (rewrites, counts["Mul"] + counts["Div"]) == (1, left)
    compare(before, after, 3e-2)


def test_a_factor_above_one_stays_off_fp16_queries() -> None:
    form = Form(scale="query", key="scaled between", dtype=TensorProto.FLOAT16)
    outputs = (value("y", ("batch", LENGTH, WIDTH), TensorProto.FLOAT16), value("k_flat", ("batch", LENGTH, WIDTH), TensorProto.FLOAT16))
    after, _ = fold_key_transpose.run(form.model(outputs=outputs, one=np.array(3, np.float16)))
    assert Counter(operators(after))["Mul"] == 2


def test_a_projection_with_a_bias_takes_a_factor_into_both() -> None:
    held = Form(scale="key").constants() | {"bias": np.arange(WIDTH, dtype=np.float32)}
    nodes = Form(scale="key").nodes()
    at = next(place for place, made in enumerate(nodes) if made.output[0] == "k_flat")
    nodes[at] = node("MatMul", "x w_k", "k_product")
    nodes.insert(at + 1, node("Add", "bias k_product", "k_flat"))
    before = model(nodes, held, [value("x", ("batch", LENGTH, WIDTH))], OUT)
    after, rewrites = fold_key_transpose.run(before)
    assert (rewrites, Counter(operators(after))["Mul"]) == (1, 0)
    compare(before, after)


def test_a_shared_projection_takes_no_factor_in() -> None:
    """Its matrix serves another product, or its result is an output."""
    nodes = [made if made.output[0] != "v_flat" else node("MatMul", "x w_k", "v_flat") for made in Form(scale="key").nodes()]
    held = {name: array for name, array in Form(scale="key").constants().items() if name != "w_v"}
    shared = model(nodes, held, [value("x", ("batch", LENGTH, WIDTH))], OUT)
    read = Form(scale="key").model(outputs=(*OUT, value("k_flat", ("batch", LENGTH, WIDTH))))
    for before in (shared, read):
        after, _ = fold_key_transpose.run(before)
        assert Counter(operators(after))["Mul"] == 1
        compare(before, after)


LEFT_ALONE = {
    "one transpose": Form().model(),
    "a scalar before one transpose, and nothing to take it in": keys(
        node("Mul", "k half", "small"), node("Transpose", "small", "kt", perm=[0, 2, 3, 1]), half=np.float32(0.5)
    ),
    "keys that something else reads": Form(key="twice").model(
        node("Relu", "k", "z"), outputs=(*OUT, value("z", ("batch", HEADS, SIZE, LENGTH)))
    ),
    "no transpose of the last two axes": model(
        [node("Transpose", "k", "a", perm=[0, 2, 1, 3]), node("Transpose", "a", "kt", perm=[1, 0, 2, 3]), node("MatMul", "q kt", "y")],
        {},
        [value("q", (2, 3, 4, 5)), value("k", (3, 5, 2, 6))],
        [value("y", (2, 3, 4, 6))],
    ),
    "a matrix that is constant": model([node("MatMul", "x w", "y")], {"w": np.eye(8, dtype=np.float32)}),
    "inside an If": branch(
        [node("Relu", "x", "t")],
        [node("Transpose", "x", "a", perm=[0, 2, 1]), node("Mul", "a half", "b"), node("MatMul", "x b", "c"), node("MatMul", "c x", "e")],
        half=np.float32(0.5),
    ),
}


@pytest.mark.parametrize("form", LEFT_ALONE)
def test_what_stands_well_is_left_alone(form: str) -> None:
    assert fold_key_transpose.run(LEFT_ALONE[form]) == (LEFT_ALONE[form], 0)


def test_a_transpose_that_something_else_reads_stays_for_it() -> None:
    before = replace(Form(), key="twice").model(node("Relu", "k_heads", "z"), outputs=(*OUT, value("z", LONG)))
    after, _ = fold_key_transpose.run(before)
    compare(before, after)
