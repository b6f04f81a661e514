"""Which nodes a pattern names, and that they stay as they were in every precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from common.errors import UserError
from tests.variants.graphs import Norm, affine, feeds, model, node, value
from variants.lowering.groups import NAMES, groups
from variants.lowering.keep import named, resolve
from variants.precision import Precision
from variants.precisions.bf16 import bf16
from variants.precisions.fp8 import fp8
from variants.precisions.fp16 import fp16
from variants.precisions.int4_weights import int4_weights
from variants.precisions.int8_entropy import int8_entropy
from variants.precisions.int8_smooth import int8_smooth
from variants.precisions.int8_weights import int8_weights

WIDTH = 32
ROWS = ("batch", 4, WIDTH)
LOWERED = {
    "fp16": fp16,
    "bf16": bf16,
    "fp8": fp8,
    "int8_entropy": int8_entropy,
    "int8_smooth": int8_smooth,
    "int8_weights": int8_weights,
    "int4_weights": int4_weights,
}


def block() -> onnx.ModelProto:
    """An embedding, a LayerNorm, attention, GELU and the head; node names as torch writes them."""
    draw = np.random.default_rng(0)
    held: dict[str, Any] = {name: draw.normal(size=(WIDTH, WIDTH)).astype(np.float32) / 6 for name in ("w", "v", "table")}
    held |= {"half": np.float32(0.125), "root": np.float32(2**0.5), "one": np.float32(1), "point": np.float32(0.5)}
    nodes = [
        node("Gather", "table ids", "e", name="/embed/Gather"),
        node("Add", "e x", "s", name="/embed/Add"),
        *Norm(source="s", output="n").nodes(),
        node("MatMul", "n w", "q", name="/blocks.0/attn/q"),
        node("Transpose", "n", "t", perm=[0, 2, 1]),
        node("MatMul", "q t", "scores", name="/blocks.0/attn/MatMul"),
        node("Mul", "scores half", "scaled", name="/blocks.0/attn/Mul"),
        node("Softmax", "scaled", "p", axis=-1, name="/blocks.0/attn/Softmax"),
        node("MatMul", "p n", "mixed", name="/blocks.0/attn/MatMul_1"),
        node("Add", "s mixed", "r", name="/blocks.0/Add"),
        node("Div", "r root", "g1", name="/blocks.0/act/Div"),
        node("Erf", "g1", "g2", name="/blocks.0/act/Erf"),
        node("Add", "g2 one", "g3", name="/blocks.0/act/Add"),
        node("Mul", "r g3", "g4", name="/blocks.0/act/Mul"),
        node("Mul", "g4 point", "g", name="/blocks.0/act/Mul_1"),
        node("MatMul", "g v", "y", name="/head/MatMul"),
    ]
    inputs = [value("ids", ("batch", 4), TensorProto.INT64), value("x", ROWS)]
    return model(nodes, affine(WIDTH) | held, inputs, [value("y", ROWS)])


def given(graph: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {"ids": np.arange(12).reshape(3, 4) % WIDTH, "x": feeds(graph, 3)["x"].reshape(3, 4, WIDTH)}


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("attention", ["/blocks.0/attn/MatMul", "/blocks.0/attn/Mul", "/blocks.0/attn/Softmax", "/blocks.0/attn/MatMul_1"]),
        ("softmax", ["/blocks.0/attn/Softmax"]),
        ("gelu", ["/blocks.0/act/Div", "/blocks.0/act/Erf", "/blocks.0/act/Add", "/blocks.0/act/Mul", "/blocks.0/act/Mul_1"]),
        ("embedding", ["/embed/Gather"]),
        ("residual", ["/blocks.0/Add"]),
        ("product", ["/blocks.0/attn/q", "/head/MatMul"]),
        ("stem", ["/blocks.0/attn/q"]),
        ("head", ["/head/MatMul"]),
        ("conv", []),
    ],
)
def test_a_group_is_found_by_structure(group: str, expected: Sequence[str]) -> None:
    graph = block()
    assert tuple(groups(graph)) == NAMES
    assert groups(graph)[group] == list(expected)
    for made in graph.graph.node:
        made.name = ""
    places = [place for place, made in enumerate(block().graph.node) if made.name in expected]
    unnamed = named(graph)
    assert groups(unnamed)[group] == [unnamed.graph.node[place].name for place in places]


def test_a_layernorm_is_a_group_written_out_or_not() -> None:
    assert len(groups(block())["layernorm"]) == 9
    fused = model([node("LayerNormalization", "x scale bias", "y", axis=-1)], {k: affine()[k] for k in ("scale", "bias")}, opset=17)
    assert groups(fused)["layernorm"] == ["make_y"]


def test_a_residual_that_is_no_skip_connection_is_none() -> None:
    graph = model([node("Relu", "x", "a"), node("Exp", "x", "b"), node("Add", "a b", "y")])
    assert groups(graph)["residual"] == []


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("/head/MatMul", {"/head/MatMul"}),
        ("/blocks.0/act/*", {"/blocks.0/act/" + name for name in ("Div", "Erf", "Add", "Mul", "Mul_1")}),
        ("op:Softmax", {"/blocks.0/attn/Softmax"}),
        ("op:Soft*", {"/blocks.0/attn/Softmax"}),
        ("group:head", {"/head/MatMul"}),
    ],
)
def test_a_pattern_names_nodes(pattern: str, found: set[str]) -> None:
    assert resolve(block(), [pattern]) == found


@pytest.mark.parametrize(
    ("pattern", "nearest"),
    [
        ("/heads/MatMul", "/head/MatMul"),
        ("/blocks.7/*", "/blocks.0/"),
        ("op:SoftMax", "op:Softmax"),
        ("group:atention", "group:attention"),
        ("group:conv", "group:"),
    ],
)
def test_a_pattern_that_matches_nothing_is_refused_with_the_nearest(pattern: str, nearest: str) -> None:
    with pytest.raises(UserError, match=f"keep '{pattern.replace('*', '.*')}': matches no node; nearest: .*{nearest}"):
        resolve(block(), [pattern])


def element_types(graph: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(graph).graph
    values = (*inferred.value_info, *inferred.input, *inferred.output)
    return {v.name: v.type.tensor_type.elem_type for v in values} | {t.name: t.data_type for t in inferred.initializer}


def reads(graph: onnx.ModelProto, name: str) -> list[str]:
    """What the node called `name` reads: the element type, or the operator of a DQ before it."""
    types = element_types(graph)
    makers = {out: made.op_type for made in graph.graph.node for out in made.output}
    (found,) = (made for made in graph.graph.node if made.name == name)
    return [makers[t] if makers.get(t) == "DequantizeLinear" else TensorProto.DataType.Name(types[t]) for t in found.input]


@pytest.mark.parametrize("kind", LOWERED)
def test_a_kept_product_reads_fp32_and_the_other_one_does_not(kind: str) -> None:
    precision: Precision = LOWERED[kind]
    graph = named(block())
    ranges = precision.calibrate(graph, given(graph)) if precision.calibrate else ()
    after = precision.apply(graph, ranges, resolve(graph, ["group:head"]))
    onnx.checker.check_model(after, full_check=True)
    assert reads(after, "/head/MatMul") == ["FLOAT", "FLOAT"]
    assert "FLOAT" not in reads(after, "/blocks.0/attn/q")[1:], "its weight is in the low precision"
    everything = precision.apply(graph, ranges)
    assert reads(everything, "/head/MatMul")[1] != "FLOAT"


@pytest.mark.parametrize("kind", ["fp16", "bf16"])
def test_a_kept_group_computes_in_fp32_from_end_to_end(kind: str) -> None:
    graph = named(block())
    kept = resolve(graph, ["group:attention"])
    after = LOWERED[kind].apply(graph, (), kept)
    types = element_types(after)
    inside = [made for made in after.graph.node if made.name in kept]
    assert len(inside) == 4
    assert {types[name] for made in inside for name in (*made.input, *made.output)} == {TensorProto.FLOAT}


def test_attention_that_is_kept_out_of_int8_attention_has_no_q_before_it() -> None:
    graph, precision = named(block()), int8_entropy.at("attention")
    assert precision is not None
    assert precision.calibrate is not None
    ranges = precision.calibrate(graph, given(graph))
    assert reads(precision.apply(graph, ranges), "/blocks.0/attn/MatMul") == ["DequantizeLinear"] * 2
    assert reads(precision.apply(graph, ranges, resolve(graph, ["group:attention"])), "/blocks.0/attn/MatMul") == ["FLOAT"] * 2


def test_keeping_everything_leaves_nothing_to_quantise_and_says_so() -> None:
    graph = named(block())
    assert int8_entropy.calibrate is not None
    ranges = int8_entropy.calibrate(graph, given(graph))
    with pytest.raises(UserError, match="every product is kept high"):
        int8_entropy.apply(graph, ranges, resolve(graph, ["*"]))
