"""Norms and activations in the forms and the surroundings in which a pass could go wrong."""

from __future__ import annotations

from math import pi, sqrt
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from tests.variants.arithmetic import Term, call, of, written
from tests.variants.graphs import body, node, value

mean, root, erf, tanh, sigmoid, softmax, relu = map(call, ("ReduceMean", "Sqrt", "Erf", "Tanh", "Sigmoid", "Softmax", "Relu"))
operator, reciprocal = call("LayerNormalization"), call("Reciprocal")
SCALE, BIAS = np.linspace(0.5, 2, 8, dtype=np.float32), np.linspace(-1, 1, 8, dtype=np.float32)
TWO, THREE = (value("x"), value("skip")), (value("y"), value("z"))


def _unit(x: Term) -> Term:
    c = x - mean(x, axes=[-1])
    return c / root(mean(c**2.0, axes=[-1]) + 1e-5)


def _tensorflow(x: Term) -> Term:
    m = mean(x, axes=[-1])
    c = x - m
    r = reciprocal(root(mean(c * c, axes=[-1]) + 1e-5)) * SCALE
    return x * r + (BIAS - m * r)


def _rms(x: Term) -> Term:
    return x * reciprocal(root(mean(x**2.0, axes=[-1]) + 1e-5)) * SCALE


def _gelu(x: Term) -> Term:
    return x * 0.5 * (1 + erf(x / sqrt(2)))


def _gelu_tanh(x: Term) -> Term:
    return 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3.0)))


def _block(x: Term) -> Term:
    """A pre-norm block, its sum carried on."""
    total = x + (_gelu(_unit(x) * SCALE + BIAS) + BIAS)
    return total + relu(_unit(total) * SCALE)


def _in_a_body(x: Term, inside: str) -> Term:
    """An If whose branches alone read a tensor."""
    branches = {name: body(name, [node(op, inside, name)], [value(name)]) for name, op in (("t", "Relu"), ("e", "Exp"))}
    return x.sheet.apply("If", np.bool_(True), then_branch=branches["t"], else_branch=branches["e"])


def _part_in_a_body(x: Term) -> tuple[Term, Term]:
    e = erf(x / sqrt(2))
    return x * 0.5 * (1 + e), _in_a_body(x, e.name)


def _sum_in_a_body(x: Term, skip: Term) -> Term:
    total = x + skip
    return operator(total, SCALE, BIAS) + _in_a_body(x, total.name)


def _half() -> dict[str, Any]:
    return of(np.float16)


def _mixed(x: Term) -> Term:
    """Normalised in fp32 between fp16 neighbours."""
    wide = x.to(TensorProto.FLOAT)
    c = wide - mean(wide, axes=[-1])
    unit = c / root(mean(c ** np.float32(2), axes=[-1]) + np.float32(1e-5))
    return unit.to(TensorProto.FLOAT16) * SCALE.astype(np.float16)


def graphs() -> dict[str, onnx.ModelProto]:
    """By what they are about."""
    masked = (value("x", ("batch", 2, 4, 8)), value("mask", ("batch", 1, 1, 8)))
    scores = (value("y", ("batch", 2, 4, 8)),)
    return {
        "a layernorm without weights": written(_unit),
        "a layernorm with a bias alone": written(lambda x: _unit(x) + BIAS),
        "a layernorm as tensorflow writes it": written(_tensorflow),
        "a layernorm in mixed precision": written(_mixed, **_half()),
        "a layernorm scaled for each image": written(lambda x, c: _unit(x) * (1 + c), (value("x"), value("c", ("batch", 1, 8)))),
        "an rms norm": written(_rms),
        "a layernorm whose quotient is an output": written(lambda x: (lambda u: (u * SCALE, u))(_unit(x)), outputs=THREE),
        "a gelu by erf": written(_gelu),
        "a gelu by tanh": written(_gelu_tanh),
        "a gelu in float16": written(_gelu, **_half()),
        "a gelu whose erf a body reads": written(_part_in_a_body, outputs=THREE),
        "a quick gelu": written(lambda x: x * sigmoid(1.702 * x)),
        "a swish": written(lambda x: relu(x * sigmoid(x))),
        "a pre-norm block": written(_block),
        "a residual sum and its norm": written(lambda x, s: operator(x + s, SCALE, BIAS), TWO, opset=17),
        "a residual sum that a body reads too": written(_sum_in_a_body, TWO, opset=17),
        "a residual sum that is an output": written(lambda x, s: (lambda t: (operator(t, SCALE), t))(x + s), TWO, THREE, opset=17),
        "a softmax with scale and mask": written(lambda x, m: softmax(x * 0.25 + m, axis=-1), masked, scores),
    }
