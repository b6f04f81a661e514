"""Which GELUs are fused, in how many ways they may be written, and what is left alone with which reason."""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.variants.arithmetic import Term, call, normal, of, written
from tests.variants.graphs import body, copy, equal_outputs, node, operators, opset, run, value
from variants.explain import listening
from variants.passes.fuse_gelu import fuse_gelu

erf, tanh, sigmoid, identity, clip = call("Erf"), call("Tanh"), call("Sigmoid"), call("Identity"), call("Clip")
ROOT2, S, C = sqrt(2), sqrt(2 / pi), 0.044715

ERF: dict[str, Callable[[Term], Term]] = {
    "torch": lambda x: x * (erf(x / ROOT2) + 1) * 0.5,
    "x * 0.5 first": lambda x: x * 0.5 * (1 + erf(x / ROOT2)),
    "0.5 * x first": lambda x: 0.5 * x * (1.0 + erf(x / ROOT2)),
    "0.5 last": lambda x: 0.5 * (x * (1 + erf(x / ROOT2))),
    "0.5 in the middle": lambda x: x * (0.5 * (1 + erf(x / ROOT2))),
    "the sum first": lambda x: (1 + erf(x / ROOT2)) * x * 0.5,
    "divided by 2": lambda x: x * (1 + erf(x / ROOT2)) / 2.0,
    "times 1 / sqrt 2": lambda x: x * (1 + erf(x * 0.70710678)) * 0.5,
    "1 / sqrt 2 times": lambda x: (erf(0.70710678 * x) + 1) * (x * 0.5),
    "0.5 distributed": lambda x: x * (0.5 + 0.5 * erf(x / ROOT2)),
    "multiplied out": lambda x: 0.5 * x + 0.5 * x * erf(x / ROOT2),
    "multiplied out, halved last": lambda x: (x + x * erf(x / ROOT2)) * 0.5,
    "minus a negative": lambda x: 0.5 * x * (1 - (-erf(x / ROOT2))),
    "through identities": lambda x: identity(x * 0.5) * identity(1 + erf(identity(x) / ROOT2)),
    "constants of six digits": lambda x: x * 0.5 * (1 + erf(x / 1.41421)),
}
TANH: dict[str, Callable[[Term], Term]] = {
    "torch": lambda x: 0.5 * (x * (1 + tanh(S * (x + C * (x * (x * x)))))),
    "gelu_new of transformers": lambda x: x * 0.5 * (tanh((x + x**3.0 * C) * S) + 1),
    "gelu_fast of transformers": lambda x: x * 0.5 * (tanh(x * S * (x * C * x + 1)) + 1),
    "factored": lambda x: 0.5 * x * (1 + tanh(S * x * (1 + C * x * x))),
    "factored, squared by Pow": lambda x: 0.5 * x * (1 + tanh(S * x * (1 + C * x**2.0))),
    "the products of constants": lambda x: 0.5 * x * (1 + tanh(x * (S + S * C * (x * x)))),
    "multiplied out": lambda x: 0.5 * x + 0.5 * x * tanh(S * x + S * C * x**3.0),
    "0.5 in the middle": lambda x: x * (0.5 * (1 + tanh(S * (x + C * x**3.0)))),
    "x * x * x": lambda x: x * 0.5 * (1 + tanh(S * (x + C * x * x * x))),
    "constants of six digits": lambda x: x * 0.5 * (1 + tanh(0.797885 * (x + C * x * x * x))),
    "by sigmoid": lambda x: x * sigmoid(2 * S * (x + C * x**3.0)),
}
FORMS = [pytest.param(formula, "none", id=f"erf, {name}") for name, formula in ERF.items()] + [
    pytest.param(formula, "tanh", id=f"tanh, {name}") for name, formula in TANH.items()
]


def gelus(model: onnx.ModelProto) -> list[str]:
    """`approximate` of every Gelu."""
    return [helper.get_attribute_value(made.attribute[0]).decode() for made in model.graph.node if made.op_type == "Gelu"]


@pytest.mark.parametrize("as_nodes", [False, True], ids=["initializers", "constant nodes"])
@pytest.mark.parametrize(("formula", "approximate"), FORMS)
def test_every_way_to_write_gelu_becomes_one_node(formula: Any, approximate: str, as_nodes: bool) -> None:
    graph = written(formula, as_nodes=as_nodes)
    after, rewrites = fuse_gelu.run(graph)
    assert (rewrites, gelus(after), operators(after)) == (1, [approximate], ["Gelu"])
    assert opset(after) == 20
    onnx.checker.check_model(after, full_check=True)
    equal_outputs(graph, after)
    assert fuse_gelu.run(after) == (after, 0)


@pytest.mark.parametrize(("formula", "approximate"), FORMS)
def test_fp16_constants_match_to_their_rounding(formula: Any, approximate: str) -> None:
    graph = written(formula, **of(np.float16))
    after, rewrites = fuse_gelu.run(graph)
    assert (rewrites, gelus(after)) == (1, [approximate])
    x = normal((2, 4, 8), np.float16)
    np.testing.assert_allclose(run(after, {"x": x})["y"], run(graph, {"x": x})["y"], 5e-3, 2e-3)


def test_fp32_constants_must_be_better_than_fp16_ones() -> None:
    rounded = float(np.float16(C))
    assert fuse_gelu.run(written(lambda x: 0.5 * x * (1 + tanh(S * (x + rounded * x**3.0)))))[1] == 0


def test_a_scaled_input_is_taken_as_it_is_read() -> None:
    graph = written(lambda x: (lambda h: h * (erf(h / ROOT2) + 1) * 0.5)(x * 3))
    after, rewrites = fuse_gelu.run(graph)
    assert (rewrites, operators(after)) == (1, ["Mul", "Gelu"])
    equal_outputs(graph, after)


def test_what_follows_a_gelu_is_not_swallowed() -> None:
    graph = written(lambda x: clip(x * (erf(x / ROOT2) + 1) * 0.5 * 3, -1, 1))
    after, rewrites = fuse_gelu.run(graph)
    assert (rewrites, operators(after)) == (1, ["Gelu", "Mul", "Clip"])
    equal_outputs(graph, after)


def test_a_half_and_a_quotient_that_others_read_too_stay_for_them() -> None:
    def formula(x: Term) -> tuple[Term, Term]:
        half, quotient = x * 0.5, x / ROOT2
        return half * (1 + erf(quotient)), half + quotient

    graph = written(formula, outputs=(value("y"), value("z")))
    after, rewrites = fuse_gelu.run(graph)
    assert (rewrites, sorted(operators(after))) == (1, ["Add", "Div", "Gelu", "Mul"])
    equal_outputs(graph, after)


def test_a_gelu_that_is_read_twice_and_is_an_output_is_fused() -> None:
    graph = written(lambda x: (lambda y: (y, y * y))(x * 0.5 * (1 + erf(x / ROOT2))), outputs=(value("y"), value("z")))
    after, rewrites = fuse_gelu.run(graph)
    assert rewrites == 1
    equal_outputs(graph, after)


def test_a_constant_of_one_element_and_no_more_axes_than_x_is_a_number() -> None:
    one = np.ones((1, 1, 1), np.float32)
    assert fuse_gelu.run(written(lambda x: x * 0.5 * (one + erf(x / ROOT2))))[1] == 1


def test_of_a_tensor_of_unknown_rank_only_true_scalars_are_numbers() -> None:
    def formula(x: Term, shape: Term, half: Any = 0.5) -> Term:
        h = call("Reshape")(x, shape)
        y: Term = h * half * (1 + erf(h / ROOT2))
        return y

    inputs = (value("x"), value("shape", ("rank",), TensorProto.INT64))
    assert fuse_gelu.run(written(formula, inputs))[1] == 1
    half = np.full(1, 0.5, np.float32)
    assert fuse_gelu.run(written(lambda x, shape: formula(x, shape, half), inputs))[1] == 0


ONE_PER_CHANNEL = np.ones(8, np.float32)
DECLINED: dict[str, tuple[Callable[[Term], Term], str]] = {
    "QuickGELU": (lambda x: x * sigmoid(1.702 * x), "QuickGELU"),
    "no half": (lambda x: x * (1 + erf(x / ROOT2)), "another function"),
    "another x": (lambda x: (x + 1.0) * 0.5 * (1 + erf(x / ROOT2)), "another function"),
    "minus erf": (lambda x: x * 0.5 * (1 - erf(x / ROOT2)), "another function"),
    "one a channel": (lambda x: x * 0.5 * (ONE_PER_CHANNEL + erf(x / ROOT2)), "another function"),
    "another cubic": (lambda x: 0.5 * x * (1 + tanh(S * (x + 0.05 * x**3.0))), "cubic whose constants"),
    "the distribution function": (lambda x: 0.5 * (1 + erf(x / ROOT2)), "another function"),
    "another function of the sum": (lambda x: x * call("Exp")(0.5 * (1 + erf(x / ROOT2))), "another function"),
}
SILENT: dict[str, Callable[[Term], Term]] = {
    "erf alone": lambda x: erf(x) * x,
    "a plain tanh": lambda x: x * tanh(x),
    "swish": lambda x: x * sigmoid(x),
    "a gate": lambda x: (x + 1.0) * sigmoid(x),
}


@pytest.mark.parametrize("form", DECLINED)
def test_what_is_nearly_gelu_is_left_alone_and_the_reason_said(form: str) -> None:
    formula, reason = DECLINED[form]
    graph = written(formula)
    with listening() as declined:
        assert fuse_gelu.run(graph) == (graph, 0)
    assert len(declined) == 1
    assert reason in declined[0]


@pytest.mark.parametrize("form", SILENT)
def test_other_functions_are_passed_without_a_word(form: str) -> None:
    graph = written(SILENT[form])
    with listening() as declined:
        assert fuse_gelu.run(graph) == (graph, 0)
    assert declined == []


@pytest.mark.parametrize("reader", ["a node", "an output", "a body"])
def test_a_middle_tensor_that_something_else_reads_declines(reader: str) -> None:
    def formula(x: Term) -> tuple[Term, Term]:
        e = erf(x / ROOT2)
        return x * 0.5 * (1 + e), {"a node": lambda: e * 2, "an output": lambda: e, "a body": lambda: _in_a_body(e)}[reader]()

    graph = written(formula, outputs=(value("y"), value("z")))
    with listening() as declined:
        assert fuse_gelu.run(graph) == (graph, 0)
    assert "read elsewhere" in declined[0]


def _in_a_body(term: Term) -> Term:
    """An If that reads `term` in its branches alone."""
    branches = (body(name, [node("Relu", term.name, name)], [value(name)]) for name in ("t", "e"))
    yes = np.bool_(True)
    return term.sheet.apply("If", yes, **dict(zip(("then_branch", "else_branch"), branches, strict=True)))


def test_a_gelu_that_ends_in_a_body_is_left_alone() -> None:
    def formula(x: Term) -> Term:
        e = erf(x / ROOT2)
        inside = [
            helper.make_node("Add", [e.name, "one"], ["sum"]),
            helper.make_node("Mul", ["sum", "x"], ["twice"]),
            helper.make_node("Mul", ["twice", "half"], ["t"]),
        ]
        one, half = np.float32(1), np.float32(0.5)
        then = body("then", inside, [value("t")])
        then.initializer.extend(onnx.numpy_helper.from_array(np.asarray(v), n) for n, v in (("one", one), ("half", half)))
        return x.sheet.apply("If", np.bool_(True), then_branch=then, else_branch=body("else", [node("Relu", "x", "e")], [value("e")]))

    graph = written(formula)
    with listening() as declined:
        assert fuse_gelu.run(graph) == (graph, 0)
    assert "inside a body" in declined[0]


def test_a_graph_that_cannot_be_raised_to_opset_20_is_left_alone_with_the_reason() -> None:
    graph = written(lambda x: x * 0.5 * (1 + erf(x / ROOT2)) * 2)
    graph = copy(graph)
    graph.graph.node[-1].op_type = "NoSuchOperator"
    with listening() as declined:
        assert fuse_gelu.run(graph) == (graph, 0)
    assert "cannot be raised from opset 13 to 20" in declined[0]


def test_the_gelus_of_vit_digits_are_fused(vit: onnx.ModelProto) -> None:
    after, rewrites = fuse_gelu.run(vit)
    assert rewrites == operators(vit).count("Erf") == operators(after).count("Gelu")
    assert "Erf" not in operators(after)


def test_the_fused_node_keeps_the_name_of_the_module() -> None:
    graph = written(lambda x: x * 0.5 * (1 + erf(x / ROOT2)))
    graph.graph.node[-1].name = "/blocks.0/mlp/act/Mul_1"
    assert fuse_gelu.run(graph)[0].graph.node[0].name.startswith("/blocks.0/mlp/act/")
