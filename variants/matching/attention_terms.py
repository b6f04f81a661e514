"""What an exporter does to the scores of attention: factors that follow from constants and known sizes, masks, and what changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite, sqrt
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from variants.graph import constant
from variants.symbolic.infer import Facts

SURELY_HIDDEN = -1e30
"""A finite value that a mask writes in a score's place: from here down, adding it gives the same, as fp32 keeps 24 bits."""
FLOATS = ("float16", "float32", "float64")


@dataclass(frozen=True, slots=True)
class Term:
    """Added to the scores: `tensor` times `factor`; or, where `fill` is not None, `fill` where the condition `tensor` is `when`."""

    tensor: gs.Tensor
    factor: float = 1.0
    fill: float | None = None
    when: bool = True

    @property
    def hides(self) -> bool:
        """Whether a key so masked weighs exactly nothing, and a row of nothing else is NaN."""
        return self.fill == -inf

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for terms that are the same in every layer."""
        return (id(self.tensor), self.factor, self.fill, self.when)


def scaled(facts: Facts, node: gs.Node) -> tuple[gs.Tensor, float] | None:
    """The tensor that a Mul or Div scales, and the factor."""
    if node.op not in ("Mul", "Div"):
        return None
    first, second = node.inputs
    number = number_of(facts, second)
    if number is not None and isfinite(number) and number_of(facts, first) is None and (node.op == "Mul" or number):
        return first, number if node.op == "Mul" else 1 / number
    number = number_of(facts, first) if node.op == "Mul" else None
    return None if number is None or not isfinite(number) else (second, number)


def number_of(facts: Facts, tensor: gs.Tensor, depth: int = 12) -> float | None:
    """The value of a tensor of one element, where it follows from constants and known dimensions: 1 / sqrt(head size)."""
    value = constant(tensor)
    if value is not None:
        return float(value.ravel()[0]) if value.size == 1 and value.dtype.kind in "fiu" else None
    whole = facts.numbers(tensor)
    if whole is not None:
        return float(whole[0]) if len(whole) == 1 else None
    node = tensor.inputs[0] if len(tensor.inputs) == 1 else None
    rule = NUMBERS.get(node.op) if node is not None else None
    if rule is None or node is None or not depth:
        return None
    given = [number_of(facts, source, depth - 1) for source in node.inputs[: 2 if node.op in ("Mul", "Div") else 1]]
    return None if None in given else rule(*given)


NUMBERS: dict[str, Any] = {
    **dict.fromkeys(("Cast", "Identity", "Squeeze", "Unsqueeze", "Reshape"), lambda x: x),
    "Sqrt": lambda x: sqrt(x) if x >= 0 else None,
    "Mul": lambda x, y: x * y,
    "Div": lambda x, y: x / y if y else None,
    "Reciprocal": lambda x: 1 / x if x else None,
}


def passes(node: gs.Node) -> bool:
    """Whether a node leaves values as they are, but for rounding to another floating-point type."""
    if node.op == "Dropout":
        training = constant(node.inputs[2]) if len(node.inputs) > 2 and not node.inputs[2].is_empty() else np.False_
        return training is not None and not training.any() and not (len(node.outputs) > 1 and node.outputs[1].outputs)
    return bool(node.op == "Identity" or (node.op == "Cast" and all(_is_float(tensor) for tensor in (*node.inputs, *node.outputs))))


def _is_float(tensor: gs.Tensor) -> bool:
    return tensor.dtype is not None and (not isinstance(tensor.dtype, int)) and np.dtype(tensor.dtype).name in FLOATS


def condition_of(tensor: gs.Tensor) -> gs.Tensor:
    """The boolean itself, behind Casts of booleans to booleans: exporters cast a mask anew for each use."""
    while len(tensor.inputs) == 1 and tensor.inputs[0].op in ("Cast", "Identity") and tensor.inputs[0].inputs[0].dtype == np.bool_:
        tensor = tensor.inputs[0].inputs[0]
    return tensor
