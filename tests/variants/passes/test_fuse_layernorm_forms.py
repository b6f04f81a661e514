"""The forms in which exporters write LayerNorm, beyond torch's nine nodes: what is fused to what, and what declines why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.variants.arithmetic import Term, call, normal, of, written
from tests.variants.graphs import equal_outputs, node, operators, run, value
from variants.explain import listening
from variants.passes.fuse_layernorm import fuse_layernorm

mean_of, sqrt, reciprocal, identity = call("ReduceMean"), call("Sqrt"), call("Reciprocal"), call("Identity")
EPS, FP16, FP32, FP64 = 1e-5, TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.DOUBLE
SCALE, BIAS = np.linspace(0.5, 2, 8, dtype=np.float32), np.linspace(-1, 1, 8, dtype=np.float32)
WIDE_SCALE, WIDE_BIAS = SCALE.reshape(1, 1, 8), BIAS.reshape(1, 1, 8)
HALF_SCALE, HALF_BIAS = SCALE.astype(np.float16), BIAS.astype(np.float16)


def mean(x: Term, axis: int = -1, **more: Any) -> Term:
    return mean_of(x, axes=[axis], **more)


def centred(x: Term) -> Term:
    return x - mean(x)


def variance(x: Term) -> Term:
    return mean(centred(x) ** 2.0)


def inverse(x: Term) -> Term:
    return reciprocal(sqrt(variance(x) + EPS))


def unit(x: Term) -> Term:
    c = x - mean(x)
    return c / sqrt(mean(c**2.0) + EPS)


def tensorflow(x: Term, scale: Any, bias: Any) -> Term:
    """tf.nn.batch_normalization over the moments of the last axis, as tf2onnx writes a Keras LayerNormalization."""
    m = mean(x)
    c = x - m
    r = reciprocal(sqrt(mean(c * c) + EPS))
    r = r if scale is None else r * scale
    return x * r - m * r if bias is None else x * r + (bias - m * r)


FUSED: dict[str, tuple[Callable[[Term], Term], int]] = {
    "x - mean twice, the mean once": (lambda x: (lambda m: (x - m) / sqrt(mean((x - m) ** 2.0) + EPS) * SCALE + BIAS)(mean(x)), 3),
    "x - mean twice, the mean twice": (lambda x: centred(x) / sqrt(variance(x) + EPS) * SCALE + BIAS, 3),
    "the root by Pow": (lambda x: centred(x) / (variance(x) + EPS) ** 0.5 * SCALE + BIAS, 3),
    "the reciprocal root by Pow": (lambda x: centred(x) * (variance(x) + EPS) ** -0.5 * SCALE + BIAS, 3),
    "times the reciprocal": (lambda x: centred(x) * inverse(x) * SCALE + BIAS, 3),
    "times 1 / root": (lambda x: SCALE * (1.0 / sqrt(variance(x) + EPS) * centred(x)) + BIAS, 3),
    "the scale on the reciprocal": (lambda x: centred(x) * (inverse(x) * SCALE) + BIAS, 3),
    "the scale before the quotient": (lambda x: SCALE * centred(x) / sqrt(variance(x) + EPS) + BIAS, 3),
    "the scale before the product": (lambda x: BIAS + (centred(x) * SCALE) * inverse(x), 3),
    "scale, bias and epsilon first": (lambda x: BIAS + SCALE * (centred(x) / sqrt(EPS + variance(x))), 3),
    "no scale and no bias": (unit, 2),
    "a scale alone": (lambda x: unit(x) * SCALE, 2),
    "a bias alone": (lambda x: unit(x) + BIAS, 3),
    "scale and bias with leading ones": (lambda x: unit(x) * WIDE_SCALE + WIDE_BIAS, 3),
    "TensorFlow's": (lambda x: tensorflow(x, SCALE, BIAS), 3),
    "TensorFlow's without scale": (lambda x: tensorflow(x, None, BIAS), 3),
    "TensorFlow's without bias": (lambda x: tensorflow(x, SCALE, None), 2),
    "TensorFlow's with neither": (lambda x: tensorflow(x, None, None), 2),
    "TensorFlow's with Keras' weights of all axes": (lambda x: tensorflow(x, WIDE_SCALE, WIDE_BIAS), 3),
    "identities between": (lambda x: identity(identity(centred(x)) / identity(sqrt(identity(variance(x)) + EPS))) * SCALE + BIAS, 3),
    "fp32 casts that do nothing": (lambda x: (unit(x.to(FP32)).to(FP32) * SCALE) + BIAS, 3),
}


@pytest.mark.parametrize("as_nodes", [False, True], ids=["initializers", "constant nodes"])
@pytest.mark.parametrize("form", FUSED)
def test_every_form_becomes_one_node(form: str, as_nodes: bool) -> None:
    formula, inputs = FUSED[form]
    graph = written(formula, as_nodes=as_nodes)
    after, rewrites = fuse_layernorm.run(graph)
    assert rewrites == 1
    (fused,) = (made for made in after.graph.node if made.op_type not in ("Constant", "Cast", "Identity"))
    assert (fused.op_type, len(fused.input)) == ("LayerNormalization", inputs)
    onnx.checker.check_model(after, full_check=True)
    equal_outputs(graph, after)
    assert fuse_layernorm.run(after) == (after, 0)


def test_weights_that_fit_are_the_graphs_own_and_stay_shared() -> None:
    graph = written(lambda x: (lambda s: unit(unit(x) * s) * s)(x.sheet.term(SCALE)))
    after, rewrites = fuse_layernorm.run(graph)
    assert (rewrites, len(after.graph.initializer)) == (2, 1)
    equal_outputs(graph, after)


def test_a_scale_of_two_axes_is_kept_in_its_shape() -> None:
    both = np.arange(32, dtype=np.float32).reshape(1, 4, 8)

    def formula(x: Term) -> Term:
        c = x - mean_of(x, axes=[1, 2])
        return c / sqrt(mean_of(c * c, axes=[-1, -2]) + EPS) * both

    graph = written(formula)
    after, rewrites = fuse_layernorm.run(graph)
    assert rewrites == 1
    assert [list(tensor.dims) for tensor in after.graph.initializer] == [[4, 8]]
    equal_outputs(graph, after)


HALVES: dict[str, tuple[Callable[[Term], Term], list[str]]] = {
    "all in fp16": (lambda x: unit(x) * HALF_SCALE + HALF_BIAS, ["LayerNormalization"]),
    "torch: statistics in float64": (
        lambda x: (lambda c: (c / sqrt(mean(c ** np.float64(2)) + np.float64(EPS))).to(FP16) * HALF_SCALE + HALF_BIAS)(centred(x).to(FP64)),
        ["LayerNormalization"],
    ),
    "normalised in fp32, scaled in fp16": (
        lambda x: unit32(x.to(FP32)).to(FP16) * HALF_SCALE + HALF_BIAS,
        ["LayerNormalization"],
    ),
    "normalised in fp32, no weights": (lambda x: unit32(x.to(FP32)).to(FP16), ["Cast", "LayerNormalization", "Cast"]),
    "all in fp32 between two casts": (lambda x: (unit32(x.to(FP32)) * SCALE + BIAS).to(FP16), ["Cast", "LayerNormalization", "Cast"]),
    "TensorFlow's mixed precision": (lambda x: tensorflow_mixed(x), ["LayerNormalization"]),
    "the variance alone in fp32": (
        lambda x: centred(x) / sqrt(mean(centred(x).to(FP32) ** np.float32(2)) + np.float32(EPS)).to(FP16) * HALF_SCALE,
        ["LayerNormalization"],
    ),
}


def unit32(x: Term) -> Term:
    c = x - mean(x)
    return c / sqrt(mean(c ** np.float32(2)) + np.float32(EPS))


def tensorflow_mixed(x: Term) -> Term:
    """The moments in fp32, as tf.nn.moments takes those of fp16, and all else in fp16."""
    wide = x.to(FP32)
    m = mean(wide)
    c = wide - m
    r = reciprocal(sqrt(mean(c * c).to(FP16) + EPS)) * HALF_SCALE
    return x * r + (HALF_BIAS - m.to(FP16) * r)


@pytest.mark.parametrize("form", HALVES)
def test_mixed_precision_keeps_its_element_types_and_statistics_in_fp32(form: str) -> None:
    formula, expected = HALVES[form]
    graph = written(formula, **of(np.float16))
    after, rewrites = fuse_layernorm.run(graph)
    assert (rewrites, operators(after)) == (1, expected)
    fused = next(made for made in after.graph.node if made.op_type == "LayerNormalization")
    assert next(a.i for a in fused.attribute if a.name == "stash_type") == FP32
    onnx.checker.check_model(after, full_check=True)
    x = normal((2, 4, 8), np.float16)
    np.testing.assert_allclose(run(after, {"x": x})["y"], run(graph, {"x": x})["y"], atol=0.01)


def test_an_input_cast_that_others_read_too_stays_for_them() -> None:
    def formula(x: Term) -> tuple[Term, Term]:
        wide = x.to(FP32)
        return unit32(wide).to(FP16) * HALF_SCALE, wide

    given = of(np.float16)
    graph = written(formula, given["inputs"], (*given["outputs"], value("z")), dtype=np.float16)
    after, rewrites = fuse_layernorm.run(graph)
    assert (rewrites, sorted(operators(after))) == (1, ["Cast", "LayerNormalization"])


DECLINED: dict[str, tuple[Callable[[Term], Any], str]] = {
    "RMSNorm": (lambda x: x * reciprocal(sqrt(mean(x**2.0) + EPS)) * SCALE, "RMSNorm"),
    "the deviation plus epsilon": (lambda x: centred(x) / (sqrt(variance(x)) + EPS) * SCALE + BIAS, "no epsilon"),
    "E[x^2] - E[x]^2": (lambda x: centred(x) / sqrt(mean(x * x) - mean(x) * mean(x) + EPS), "rounds otherwise"),
    "channels first": (
        lambda x: (lambda c: c / sqrt(mean(c**2.0, 1) + EPS))(x - mean(x, 1)),
        "the last ones only",
    ),
    "mean and variance over different axes": (lambda x: centred(x) / sqrt(mean(centred(x) ** 2.0, -2) + EPS), "the last ones only"),
    "the reduced axes dropped": (
        lambda x: (lambda c: c / sqrt(mean(c**2.0, 0, keepdims=0) + EPS))(x - mean(x, 0, keepdims=0)),
        "dropped",
    ),
    "epsilon computed": (lambda x: centred(x) / sqrt(variance(x) + mean(x)), "epsilon is not one constant"),
    "a scale of one element": (lambda x: unit(x) * np.full(1, 2, np.float32), "scale has not the shape"),
    "a bias for each token": (lambda x: unit(x) * SCALE + np.ones((4, 8), np.float32), "bias has not the shape"),
    "in the middle fp16": (lambda x: centred(x) / sqrt(variance(x).to(FP16).to(FP32) + EPS), "another precision"),
    "float64 statistics of fp32": (
        lambda x: (lambda c: (c / sqrt(mean(c * c) + np.float64(EPS))).to(FP32))(centred(x).to(FP64)),
        "another precision",
    ),
    "the other way round": (lambda x: (mean(x) - x) / sqrt(variance(x) + EPS), "no LayerNorm"),
    "another x in the quotient": (lambda x: (x * 2 - mean(x)) / sqrt(variance(x) + EPS), "no LayerNorm"),
    "rounded values in the quotient": (lambda x: centred(x.to(FP16).to(FP32)) / sqrt(variance(x) + EPS), "no LayerNorm"),
    "a quotient centred over more axes": (lambda x: (x - mean_of(x, axes=[-2, -1])) / sqrt(variance(x) + EPS), "no LayerNorm"),
    "TensorFlow's with the shift's sign turned": (lambda x: (lambda r: x * r + (mean(x) * r - BIAS))(inverse(x)), "no LayerNorm"),
    "a cube root": (lambda x: centred(x) / (variance(x) + EPS) ** 0.333, "no LayerNorm"),
    "two scales": (lambda x: SCALE * centred(x) * (inverse(x) * SCALE), "no LayerNorm"),
}


@pytest.mark.parametrize("form", DECLINED)
def test_what_is_nearly_a_layernorm_is_left_alone_and_the_reason_said(form: str) -> None:
    formula, reason = DECLINED[form]
    shape = (8, 8) if form == "the reduced axes dropped" else ("batch", 4, 8)
    graph = written(formula, (value("x", shape),), (value("y", shape),))
    with listening() as declined:
        assert fuse_layernorm.run(graph) == (graph, 0)
    assert len(declined) == 1
    assert reason in declined[0]


READ: dict[str, Callable[[Term], tuple[Term, Term]]] = {
    "the mean": lambda x: (lambda m: ((x - m) / sqrt(mean((x - m) ** 2.0) + EPS) * SCALE, m + x))(mean(x)),
    "x - mean": lambda x: (lambda c: (c / sqrt(mean(c**2.0) + EPS) * SCALE, c))(centred(x)),
    "the variance": lambda x: (lambda v: (centred(x) / sqrt(v + EPS) * SCALE, v + x))(variance(x)),
    "the deviation": lambda x: (lambda d: (centred(x) / d * SCALE, d + x))(sqrt(variance(x) + EPS)),
    "the reciprocal": lambda x: (lambda r: (centred(x) * r * SCALE, r + x))(inverse(x)),
    "the quotient": lambda x: (lambda u: (u * SCALE, u))(unit(x)),
}


@pytest.mark.parametrize("part", READ)
def test_a_part_that_something_else_reads_declines(part: str) -> None:
    graph = written(READ[part], outputs=(value("y"), value("z")))
    with listening() as declined:
        assert fuse_layernorm.run(graph) == (graph, 0)
    assert any("read" in sentence for sentence in declined)


def test_a_scale_computed_for_each_image_stays_behind_a_layernorm_without_one() -> None:
    """The adaptive LayerNorm of diffusion transformers: norm(x) * (1 + scale) + shift."""

    def formula(x: Term, condition: Term) -> Term:
        return unit(x) * (1 + condition) + condition

    graph = written(formula, (value("x"), value("condition", ("batch", 1, 8))))
    after, rewrites = fuse_layernorm.run(graph)
    assert (rewrites, sorted(operators(after))) == (1, ["Add", "Add", "LayerNormalization", "Mul"])
    equal_outputs(graph, after)


def test_without_a_scale_the_size_must_be_known() -> None:
    free = (value("x", ("batch", 4, "width")),), (value("y", ("batch", 4, "width")),)
    with listening() as declined:
        assert fuse_layernorm.run(written(unit, *free))[1] == 0
    assert "how many ones" in declined[0]


def test_bf16_is_fused_to_what_onnx_says_it_computes() -> None:
    import ml_dtypes
    from onnx.reference import ReferenceEvaluator

    bf16 = TensorProto.BFLOAT16
    nodes = [
        node("Cast", "x", "wide", to=FP32),
        node("ReduceMean", "wide", "m", axes=[-1]),
        node("Sub", "wide m", "c"),
        node("Mul", "c c", "s"),
        node("ReduceMean", "s", "v", axes=[-1]),
        node("Add", "v eps", "ve"),
        node("Sqrt", "ve", "d"),
        node("Div", "c d", "u"),
        node("Cast", "u", "narrow", to=bf16),
        node("Mul", "narrow scale", "y"),
    ]
    weights = [
        onnx.numpy_helper.from_array(np.array(EPS, np.float32), "eps"),
        onnx.numpy_helper.from_array(SCALE.astype(ml_dtypes.bfloat16), "scale"),
    ]
    made = helper.make_graph(nodes, "bf16", [value("x", dtype=bf16)], [value("y", dtype=bf16)], weights)
    graph = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    after, rewrites = fuse_layernorm.run(graph)
    assert (rewrites, operators(after)) == (1, ["LayerNormalization"])
    onnx.checker.check_model(after, full_check=True)
    x = {"x": normal((2, 4, 8), np.float32).astype(ml_dtypes.bfloat16)}
    expected, actual = (np.asarray(ReferenceEvaluator(one).run(["y"], x), np.float32) for one in (graph, after))
    np.testing.assert_allclose(actual, expected, atol=0.03)
