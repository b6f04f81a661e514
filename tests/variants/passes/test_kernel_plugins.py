"""GELU, Swish, softmax and skip-LayerNorm as plugin nodes: what is replaced, what the node says, and that it computes the same."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.variants.arithmetic import Term, call, normal, of, written
from tests.variants.graphs import equal_outputs, operators, opset, run, value
from variants.explain import listening
from variants.passes.fuse_gelu import fuse_gelu
from variants.passes.gelu_plugin import gelu_plugin
from variants.passes.layernorm_plugin import layernorm_plugin
from variants.passes.skip_layernorm_plugin import skip_layernorm_plugin
from variants.passes.softmax_plugin import softmax_plugin
from variants.passes.swish_plugin import swish_plugin
from variants.plugin_pass import placed

GELU, SWISH = gelu_plugin.at("v2_vector"), swish_plugin.at("v2_vector")
SOFTMAX, SKIP = softmax_plugin.at("v3_aligned"), skip_layernorm_plugin.at("v4_welford")
erf, tanh, sigmoid, softmax, relu = call("Erf"), call("Tanh"), call("Sigmoid"), call("Softmax"), call("Relu")
operator, exp = call("LayerNormalization"), call("Exp")
ONES, BIAS = np.linspace(0.5, 2, 8, dtype=np.float32), np.linspace(3, 4, 8, dtype=np.float32)
TWO = (value("x"), value("skip"))


def attributes(made: onnx.NodeProto) -> dict[str, Any]:
    found = {a.name: helper.get_attribute_value(a) for a in made.attribute}
    assert found.pop("aot") == 1
    assert found.pop("plugin_namespace") == b"trtbench"
    return found


def test_gelu_by_erf_says_its_form() -> None:
    graph = written(lambda x: x * 0.5 * (1 + erf(x / sqrt(2))))
    after, rewrites = GELU.run(graph)
    assert (rewrites, operators(after), opset(after)) == (1, ["gelu"], 20)
    assert attributes(placed(after)[0]) == {"version": b"v2_vector", "form": b"erf"}
    onnx.checker.check_model(after, full_check=True)
    equal_outputs(graph, after)
    assert GELU.run(after) == (after, 0)


def test_gelu_by_tanh_says_its_form_and_computes_that_one() -> None:
    graph = written(lambda x: 0.5 * x * (1 + tanh(sqrt(2 / np.pi) * (x + 0.044715 * x**3.0))))
    after, _ = GELU.run(graph)
    assert attributes(placed(after)[0])["form"] == b"tanh"
    x = {"x": np.full((1, 4, 8), 2.5, np.float32)}
    assert abs(run(graph, x)["y"] - run(GELU.run(written(lambda x: x * 0.5 * (1 + erf(x / sqrt(2)))))[0], x)["y"]).max() > 1e-4
    np.testing.assert_allclose(run(after, x)["y"], run(graph, x)["y"], atol=1e-6)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_the_operator_gelu_is_replaced_too(approximate: str) -> None:
    graph = written(lambda x: call("Gelu")(x, approximate=approximate), opset=20)
    after, rewrites = GELU.run(graph)
    assert (rewrites, operators(after)) == (1, ["gelu"])
    equal_outputs(graph, after)


def test_swish_needs_no_higher_opset() -> None:
    graph = written(lambda x: relu(sigmoid(x) * x))
    after, rewrites = SWISH.run(graph)
    assert (rewrites, operators(after), opset(after)) == (1, ["swish", "Relu"], 13)
    assert attributes(placed(after)[0]) == {"version": b"v2_vector"}
    onnx.checker.check_model(after, full_check=True)
    equal_outputs(graph, after)


def test_the_operator_swish_is_replaced_where_alpha_is_one() -> None:
    graph = written(lambda x: call("Swish")(x, alpha=1.0), opset=24)
    after, rewrites = SWISH.run(graph)
    assert (rewrites, operators(after)) == (1, ["swish"])
    equal_outputs(graph, after)
    with listening() as declined:
        assert SWISH.run(written(lambda x: call("Swish")(x, alpha=1.702), opset=24))[1] == 0
    assert "alpha is not 1" in declined[0]


def test_a_sigmoid_that_something_else_reads_is_no_swish() -> None:
    graph = written(lambda x: (lambda s: (x * s, s))(sigmoid(x)), outputs=(value("y"), value("z")))
    with listening() as declined:
        assert SWISH.run(graph) == (graph, 0)
    assert "read elsewhere" in declined[0]


@pytest.mark.parametrize(("place", "formula"), [(GELU, lambda x: x * 0.5 * (1 + erf(x / sqrt(2)))), (SWISH, lambda x: x * sigmoid(x))])
def test_a_kernel_takes_fp16_but_not_float64(place: Any, formula: Callable[[Term], Term]) -> None:
    with listening() as declined:
        assert place.run(written(formula, **of(np.float64)))[1] == 0
    assert "fp32 or fp16 only" in declined[0]
    graph = written(formula, **of(np.float16))
    after, rewrites = place.run(graph)
    assert rewrites == 1
    x = {"x": normal((2, 4, 8), np.float16)}
    np.testing.assert_allclose(run(after, x)["y"], run(graph, x)["y"], atol=0.005)


def test_two_families_of_kernels_keep_what_each_other_compute() -> None:
    """GELU raises the opset after LayerNorm's kernel was placed: its function must come along."""
    graph = written(lambda x: (lambda h: h * 0.5 * (1 + erf(h / sqrt(2))))(operator(x, ONES)), opset=17)
    after, rewrites = GELU.run(layernorm_plugin.at("v5_hopper").run(graph)[0])
    assert (rewrites, operators(after)) == (1, ["layernorm_affine", "gelu"])
    onnx.checker.check_model(after, full_check=True)
    equal_outputs(graph, after)
    plain, _ = fuse_gelu.run(layernorm_plugin.at("v5_hopper").run(graph)[0])
    equal_outputs(graph, plain)


SCORES = ("batch", 2, 4, 8)
IN, OUT = value("x", SCORES), value("y", SCORES)
MASK = value("mask", ("batch", 1, 1, 8))
SOFTMAXES: dict[str, tuple[Callable[..., Term], list[str], float]] = {
    "plain": (lambda x, m: softmax(x, axis=-1), ["softmax"], 1),
    "over the last axis counted from the front": (lambda x, m: softmax(x, axis=3), ["softmax"], 1),
    "scaled": (lambda x, m: softmax(x * 0.25, axis=-1), ["softmax"], 0.25),
    "divided": (lambda x, m: softmax(x / 8.0, axis=-1), ["softmax"], 0.125),
    "masked": (lambda x, m: softmax(x + m, axis=-1), ["Squeeze", "softmax_masked"], 1),
    "the mask first": (lambda x, m: softmax(m + x, axis=-1), ["Squeeze", "softmax_masked"], 1),
    "scaled and masked": (lambda x, m: softmax(0.125 * x + m, axis=-1), ["Squeeze", "softmax_masked"], 0.125),
    "divided and masked": (lambda x, m: softmax(m + x / 8.0, axis=-1), ["Squeeze", "softmax_masked"], 0.125),
    "scaled after the mask": (lambda x, m: softmax((x + m) * 0.5, axis=-1), ["Add", "softmax"], 0.5),
    "a mask of every row": (lambda x, m: softmax(x + x * m, axis=-1), ["Mul", "Add", "softmax"], 1),
    "scaled by a tensor": (lambda x, m: softmax(x * exp(x), axis=-1), ["Exp", "Mul", "softmax"], 1),
}


@pytest.mark.parametrize("form", SOFTMAXES)
def test_a_softmax_takes_its_scale_and_mask_along(form: str) -> None:
    formula, expected, scale = SOFTMAXES[form]
    graph = written(formula, (IN, MASK), (OUT,), opset=17)
    after, rewrites = SOFTMAX.run(graph)
    assert (rewrites, operators(after)) == (1, expected)
    assert attributes(placed(after)[0]) == {"version": b"v3_aligned", "scale": pytest.approx(scale)}
    onnx.checker.check_model(after, full_check=True)
    equal_outputs(graph, after)
    assert SOFTMAX.run(after) == (after, 0)


def test_softmaxes_of_one_mask_squeeze_it_once() -> None:
    graph = written(lambda x, m: softmax(softmax(x + m, axis=-1) * 2.0 + m, axis=-1), (IN, MASK), (OUT,), opset=17)
    after, rewrites = SOFTMAX.run(graph)
    assert (rewrites, operators(after)) == (2, ["Squeeze", "softmax_masked", "softmax_masked"])
    equal_outputs(graph, after)


@pytest.mark.parametrize("reader", [lambda s: s, relu], ids=["an output", "a node"])
def test_scores_that_something_else_reads_keep_their_scale_and_mask(reader: Callable[[Term], Term]) -> None:
    graph = written(lambda x, m: (lambda s: (softmax(s, axis=-1), reader(s)))(x * 0.5 + m), (IN, MASK), (OUT, value("z", SCORES)), opset=17)
    after, rewrites = SOFTMAX.run(graph)
    assert (rewrites, [op for op in operators(after) if op != "Relu"]) == (1, ["Mul", "Add", "softmax"])
    equal_outputs(graph, after)


def test_before_opset_13_a_softmax_without_axis_is_over_the_second() -> None:
    graph = written(lambda x: softmax(x), opset=11)
    with listening() as declined:
        assert SOFTMAX.run(graph) == (graph, 0)
    assert "not over the last axis" in declined[0]
    raised = written(lambda x: softmax(x, axis=2), opset=11)
    after, rewrites = SOFTMAX.run(raised)
    assert (rewrites, opset(after)) == (1, 17)
    equal_outputs(raised, after)


@pytest.mark.parametrize("shape", [("batch", 8), ("batch",)])
def test_a_softmax_of_fewer_than_three_axes_is_left_alone(shape: tuple[int | str, ...]) -> None:
    graph = written(lambda x: softmax(x, axis=-1), (value("x", shape),), (value("y", shape),), opset=17)
    with listening() as declined:
        assert SOFTMAX.run(graph) == (graph, 0)
    assert "three axes and more" in declined[0]


def norm(x: Term, *shift: Any) -> Term:
    return operator(x, ONES, *shift)


SKIPS: dict[str, tuple[Callable[[Term, Term], Term], str]] = {
    "a sum": (lambda x, s: norm(x + s, BIAS), "skip_layernorm"),
    "without shift": (lambda x, s: norm(x + s), "skip_layernorm"),
    "with a bias": (lambda x, s: norm((x + BIAS) + s, BIAS), "skip_layernorm"),
    "the sum kept": (lambda x, s: (lambda t: t + relu(norm(t)))(x + s), "skip_layernorm_keep"),
    "the sum with its bias kept": (lambda x, s: (lambda t: t + relu(norm(t)))(x + (s + BIAS)), "skip_layernorm_keep"),
}


@pytest.mark.parametrize("form", SKIPS)
def test_a_residual_sum_and_its_norm_become_one_node_with_all_five_inputs(form: str) -> None:
    formula, op = SKIPS[form]
    graph = written(formula, TWO, opset=17)
    after, rewrites = SKIP.run(graph)
    assert rewrites == 1
    (made,) = placed(after)
    assert (made.op_type, len(made.input), len(made.output)) == (op, 5, 2 if op == "skip_layernorm_keep" else 1)
    assert attributes(made) == {"version": b"v4_welford", "eps": pytest.approx(1e-5)}
    onnx.checker.check_model(after, full_check=True)
    equal_outputs(graph, after)
    assert SKIP.run(after) == (after, 0)


def test_the_kernel_takes_more_axes_than_onnx_runtimes_operator() -> None:
    graph = written(lambda x, skip: norm(x + skip), (IN, value("skip", SCORES)), (OUT,), opset=17)
    after, rewrites = SKIP.run(graph)
    assert (rewrites, operators(after)) == (1, ["skip_layernorm"])
    equal_outputs(graph, after)


def test_the_kernel_takes_no_term_that_is_broadcast() -> None:
    with listening() as declined:
        assert SKIP.run(written(lambda x: norm(x + np.ones((4, 8), np.float32)), opset=17))[1] == 0
    assert "broadcast over the batch" in declined[0]


PLACED: dict[str, tuple[Any, Callable[..., Term]]] = {
    "gelu": (gelu_plugin, lambda x: x * 0.5 * (1 + erf(x / sqrt(2)))),
    "swish": (swish_plugin, lambda x: x * sigmoid(x)),
    "softmax": (softmax_plugin, lambda x: softmax(x, axis=-1)),
    "skip_layernorm": (skip_layernorm_plugin, lambda x: norm(x + x)),
}


@pytest.mark.parametrize("family", PLACED)
def test_versions_differ_in_the_version_alone(family: str) -> None:
    from plugins.discovery import versions

    plugin, formula = PLACED[family]
    graph = written(formula, opset=17)
    made = [plugin.at(version).run(graph)[0] for version in versions(family)]
    said = [next(a for a in placed(one)[0].attribute if a.name == "version") for one in made]
    assert [a.s.decode() for a in said] == list(versions(family))
    for attribute in said:
        attribute.s = b""
    assert all(one == made[0] for one in made)
    assert {TensorProto.FLOAT} == {value.type.tensor_type.elem_type for value in made[0].graph.output}
