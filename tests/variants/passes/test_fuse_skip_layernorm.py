"""Which residual sums are fused with their LayerNorm, and which ONNX Runtime's operator would not take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from tests.variants.arithmetic import Term, call, normal, of, written
from tests.variants.graphs import body, equal_outputs, node, operators, opset, run, value
from variants.explain import listening
from variants.passes.fuse_layernorm import fuse_layernorm
from variants.passes.fuse_skip_layernorm import fuse_skip_layernorm

mean, sqrt, operator, relu, exp = call("ReduceMean"), call("Sqrt"), call("LayerNormalization"), call("Relu"), call("Exp")
SCALE, SHIFT = np.linspace(0.5, 2, 8, dtype=np.float32), np.linspace(-1, 1, 8, dtype=np.float32)
BIAS = np.linspace(3, 4, 8, dtype=np.float32)
TABLE = np.arange(32, dtype=np.float32).reshape(4, 8) / 32
TWO = (value("x"), value("skip"))
Y, TOTAL = value("y"), value("total")


def norm(x: Term, scale: Any = SCALE, shift: Any = SHIFT, **given: Any) -> Term:
    """The operator."""
    return operator(x, scale, *(() if shift is None else (shift,)), **given)


def nine(x: Term) -> Term:
    """Written out."""
    c = x - mean(x, axes=[-1])
    return c / sqrt(mean(c**2.0, axes=[-1]) + 1e-5) * SCALE + SHIFT


def fused(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [made for made in model.graph.node if made.op_type == "SkipLayerNormalization"]


FUSED: dict[str, tuple[Callable[[Term, Term], Term], list[bool]]] = {
    "a sum": (lambda x, s: norm(x + s), [True, True, True, True]),
    "no shift": (lambda x, s: norm(x + s, shift=None), [True, True, True]),
    "a bias on the first term": (lambda x, s: norm((x + BIAS) + s), [True] * 5),
    "a bias on the second term": (lambda x, s: norm(x + (BIAS + s)), [True] * 5),
    "a bias on both": (lambda x, s: norm((x + BIAS) + (s + BIAS)), [True] * 5),
    "a bias and no shift": (lambda x, s: norm(x + (BIAS + s), shift=None), [True, True, True, False, True]),
    "the axis counted from the front": (lambda x, s: norm(x + s, axis=2), [True] * 4),
    "a table for every place": (lambda x, s: norm(x + TABLE), [True] * 4),
    "a table first, with an axis of one": (lambda x, s: norm(TABLE.reshape(1, 4, 8) + x), [True] * 4),
    "twice the same": (lambda x, s: norm(x + x), [True] * 4),
}


@pytest.mark.parametrize("form", FUSED)
def test_a_sum_and_its_layernorm_become_one_node(form: str) -> None:
    formula, given = FUSED[form]
    graph = written(formula, TWO, opset=17)
    after, rewrites = fuse_skip_layernorm.run(graph)
    assert rewrites == 1
    assert not {"LayerNormalization"} & set(operators(after))
    (made,) = fused(after)
    assert (made.domain, [bool(name) for name in made.input]) == ("com.microsoft", given)
    onnx.checker.check_model(after, full_check=True)
    equal_outputs(graph, after)
    assert fuse_skip_layernorm.run(after) == (after, 0)


def test_a_layernorm_that_is_written_out_is_taken_as_it_is_and_the_opset_stays() -> None:
    graph = written(lambda x, skip: nine(x + skip), TWO)
    after, rewrites = fuse_skip_layernorm.run(graph)
    assert (rewrites, operators(after), opset(after)) == (1, ["SkipLayerNormalization"], 13)
    equal_outputs(graph, after)


def test_after_fuse_layernorm_the_same_is_found() -> None:
    graph = written(lambda x, skip: nine(x + skip), TWO)
    after, rewrites = fuse_skip_layernorm.run(fuse_layernorm.run(graph)[0])
    assert (rewrites, operators(after)) == (1, ["SkipLayerNormalization"])
    equal_outputs(graph, after)


@pytest.mark.parametrize("normed", [norm, nine], ids=["the operator", "written out"])
def test_where_the_sum_goes_on_it_is_the_fourth_output(normed: Callable[[Term], Term]) -> None:
    """A pre-norm block: the sum is normalised and also carried on."""

    def formula(x: Term, skip: Term) -> Term:
        total = x + skip
        return total + relu(normed(total))

    graph = written(formula, TWO, opset=17)
    after, rewrites = fuse_skip_layernorm.run(graph)
    assert (rewrites, operators(after)) == (1, ["SkipLayerNormalization", "Relu", "Add"])
    assert [bool(name) for name in fused(after)[0].output] == [True, False, False, True]
    onnx.checker.check_model(after, full_check=True)
    equal_outputs(graph, after)


def test_a_sum_that_is_an_output_keeps_its_name() -> None:
    graph = written(lambda x, skip: (lambda t: (norm(t), t))(x + skip), TWO, (Y, TOTAL), opset=17)
    after, rewrites = fuse_skip_layernorm.run(graph)
    assert (rewrites, list(fused(after)[0].output)) == (1, ["y", "", "", "total"])
    equal_outputs(graph, after)


def test_a_sum_that_only_a_body_reads_besides_is_kept_for_it() -> None:
    def formula(x: Term, skip: Term) -> Term:
        total = x + skip
        then, other = (body(name, [node(op, total.name, name)], [value(name)]) for name, op in (("t", "Relu"), ("e", "Exp")))
        return norm(total) + x.sheet.apply("If", np.bool_(True), then_branch=then, else_branch=other)

    graph = written(formula, TWO, opset=17)
    after, rewrites = fuse_skip_layernorm.run(graph)
    assert (rewrites, len(fused(after)[0].output)) == (1, 4)
    equal_outputs(graph, after)


def test_of_two_norms_of_one_sum_one_is_fused_and_the_other_reads_the_kept_sum() -> None:
    graph = written(lambda x, skip: (lambda t: norm(t) + norm(t, BIAS))(x + skip), TWO, opset=17)
    with listening() as declined:
        after, rewrites = fuse_skip_layernorm.run(graph)
    assert (rewrites, sorted(operators(after))) == (1, ["Add", "LayerNormalization", "SkipLayerNormalization"])
    assert "another LayerNorm of the same sum" in declined[0]
    equal_outputs(graph, after)
    assert fuse_skip_layernorm.run(after)[1] == 0


def test_a_bias_that_something_else_reads_too_stays() -> None:
    graph = written(lambda x, skip: (lambda b: (norm(b + skip), relu(b)))(x + BIAS), TWO, (Y, TOTAL), opset=17)
    after, rewrites = fuse_skip_layernorm.run(graph)
    assert (rewrites, sorted(operators(after))) == (1, ["Add", "Relu", "SkipLayerNormalization"])
    assert len(fused(after)[0].input) == 4, "the sum with the bias is there already"
    equal_outputs(graph, after)


def test_a_chain_of_pre_norm_blocks_is_fused_throughout() -> None:
    weight = normal((8, 8), np.float32) / 4

    def formula(x: Term) -> Term:
        for _ in range(3):
            x = x + (relu(call("MatMul")(nine(x), weight)) + BIAS)
        return nine(x)

    graph = written(formula)
    after, rewrites = fuse_skip_layernorm.run(graph)
    assert rewrites == 3, "the first norm is of the input itself"
    assert [len(made.input) for made in fused(after)] == [5, 5, 5]
    equal_outputs(graph, after, atol=1e-4)


@pytest.mark.parametrize("normed", [norm, nine], ids=["the operator", "written out"])
def test_in_a_chain_of_post_norm_blocks_each_norm_keeps_its_own_bias(normed: Callable[[Term], Term]) -> None:
    graph = written(lambda x, skip: normed(normed(x + skip) + skip), TWO, opset=17)
    after, rewrites = fuse_skip_layernorm.run(graph)
    assert (rewrites, operators(after)) == (2, ["SkipLayerNormalization"] * 2)
    assert [len(made.input) for made in fused(after)] == [4, 4]
    equal_outputs(graph, after)
    assert fuse_skip_layernorm.run(after) == (after, 0)


def test_two_axes_are_enough_for_the_operator() -> None:
    flat = ("rows", 8)
    graph = written(lambda x, s: norm(x + s), (value("x", flat), value("skip", flat)), (value("y", flat),), opset=17)
    after, rewrites = fuse_skip_layernorm.run(graph)
    assert rewrites == 1
    equal_outputs(graph, after)


def test_fp16_is_fused() -> None:
    scale = SCALE.astype(np.float16)
    given = of(np.float16)
    inputs = (*given["inputs"], value("skip", dtype=TensorProto.FLOAT16))
    graph = written(lambda x, s: operator(x + s, scale), inputs, given["outputs"], opset=17)
    after, rewrites = fuse_skip_layernorm.run(graph)
    assert rewrites == 1
    feeds = {name: normal((2, 4, 8), np.float16, seed) for seed, name in enumerate(("x", "skip"))}
    np.testing.assert_allclose(run(after, feeds)["y"], run(graph, feeds)["y"], atol=0.01)


def over(*shape: int | str) -> tuple[onnx.ValueInfoProto, ...]:
    return value("x", shape), value("skip", shape)


DECLINED: dict[str, tuple[Callable[..., Any], tuple[Any, ...], Any, str]] = {
    "four axes": (lambda x, s: norm(x + s), over("batch", 2, 4, 8), value("y", ("batch", 2, 4, 8)), "has 4 axes"),
    "a skip for every row alike": (
        lambda x, s: norm(x + s),
        (value("x"), value("skip", ("batch", 1, 8))),
        Y,
        "the same shape",
    ),
    "two free dimensions that may differ": (
        lambda x, s: norm(x + s),
        (value("x"), value("skip", ("other", 4, 8))),
        value("y", ("either", 4, 8)),
        "the same shape",
    ),
    "two axes normalised": (
        lambda x, s: norm(x + s, np.ones((4, 8), np.float32), None, axis=1),
        TWO,
        Y,
        "not over the last",
    ),
    "a scale that is an input": (
        lambda x, s, g: norm(x + s, g),
        (*TWO, value("g", (8,))),
        Y,
        "not constant",
    ),
}


@pytest.mark.parametrize("form", DECLINED)
def test_what_the_operator_does_not_take_is_left_alone_and_the_reason_said(form: str) -> None:
    formula, inputs, output, reason = DECLINED[form]
    graph = written(formula, inputs, (output,), opset=17)
    with listening() as declined:
        assert fuse_skip_layernorm.run(graph) == (graph, 0)
    assert len(declined) == 1
    assert reason in declined[0]


SILENT: dict[str, Callable[[Term, Term], Term]] = {
    "no sum": lambda x, s: norm(x * s),
    "a bias alone": lambda x, s: norm(x + BIAS) * s,
    "a number": lambda x, s: norm(x + 1.0) * s,
}


@pytest.mark.parametrize("form", SILENT)
def test_a_layernorm_of_something_else_is_passed_without_a_word(form: str) -> None:
    graph = written(SILENT[form], TWO, opset=17)
    with listening() as declined:
        assert fuse_skip_layernorm.run(graph) == (graph, 0)
    assert declined == []


def test_every_sum_of_vit_digits_is_fused(vit: onnx.ModelProto) -> None:
    after, rewrites = fuse_skip_layernorm.run(vit)
    assert rewrites == len(fused(after)) == 13
    given = {"images": normal((2, *(dim.dim_value for dim in vit.graph.input[0].type.tensor_type.shape.dim[1:])), np.float32)}
    np.testing.assert_allclose(run(after, given)["logits"], run(vit, given)["logits"], 1e-4, 1e-4)
