"""Which attention is left alone, and what is said of it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.variants.graphs import branch, model, node, run, value
from tests.variants.more_graphs.attention import HEADS, LENGTH, SIZE, WIDTH, Form, bare, feeds
from variants.explain import listening
from variants.passes.fuse_attention import fuse_attention

OPERATOR = {"onnx": "Attention", "ort": "MultiHeadAttention"}


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
    "a softmax in fp32 between products in fp16": (Form(dtype=TensorProto.FLOAT16, wide=True).model(), "takes one"),
    "a softmax of another axis": (Form(axis=2).model(), ""),
    "a softmax of two axes, as before opset 13": (Form(axis=2, opset=12, heads_in_batch=True).model(), None),
    "a mask that differs by head, with hidden rows of zeros": (
        Form(mask="filled and zeroed", mask_shape=(1, HEADS, 1, LENGTH)).model(),
        "from head to head",
    ),
    "a mask that makes five queries of one": (bare(("batch", HEADS, 1, SIZE), (1, 1, LENGTH, LENGTH)), "leaves the scores' shape"),
    "one key that a mask makes five": (bare(("batch", HEADS, 1, SIZE), (1, 1, 1, LENGTH), keys=1), "as many keys as values"),
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
    given = feeds(before, 2)
    np.testing.assert_allclose(run(after, given)["y"], run(before, given)["y"], 1e-4, 1e-5)
