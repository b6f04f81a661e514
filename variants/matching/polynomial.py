"""Elementwise arithmetic read as a polynomial, so that one match covers every order of it and every place of its constants.

x * 0.5 * (1 + e), 0.5 * (x * (1 + e)) and 0.5 * x + 0.5 * x * e are all 0.5 x + 0.5 x e.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

import onnx_graphsurgeon as gs

from variants.graph import constant

Powers: TypeAlias = tuple[int, int]
Polynomial: TypeAlias = Mapping[Powers, float]
"""The coefficient of x^i e^j for each (i, j)."""

DEEPEST = 12
"""Nodes between a tensor and x: the longest way found in an export is 7, gelu_fast's."""
HIGHEST = 4
"""Powers beyond this are none of ours."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the letters are: the tensor `x`, and `e`, some function of it; constants have one element and add no axis to x."""

    x: gs.Tensor
    e: gs.Tensor | None = None

    def read(self, tensor: gs.Tensor, left: int = DEEPEST) -> Polynomial | None:
        """The tensor as a polynomial in x and e; None where it is anything else."""
        if tensor is self.x:
            return {(1, 0): 1.0}
        if tensor is self.e:
            return {(0, 1): 1.0}
        if (known := self._constant(tensor)) is not None:
            return {(0, 0): known}
        if not left or len(tensor.inputs) != 1:
            return None
        node = tensor.inputs[0]
        if node.op not in ARITHMETIC or node.domain not in (None, "", "ai.onnx"):
            return None
        read = [self.read(given, left - 1) for given in node.inputs]
        known_parts = [part for part in read if part is not None]
        return _combined(node.op, known_parts) if len(known_parts) == len(read) else None

    def _constant(self, tensor: gs.Tensor) -> float | None:
        if isinstance(tensor, gs.Constant) and tensor.shape and max(tensor.shape) > 1:
            return None  # do not load a weight to see that it is no scalar
        value = constant(tensor)
        axes = len(self.x.shape) if self.x.shape is not None else 0
        return float(value.ravel()[0]) if value is not None and value.size == 1 and value.ndim <= axes else None


def sources(tensor: gs.Tensor, left: int = DEEPEST) -> Iterator[gs.Tensor]:
    """The tensors that `tensor` may be a polynomial in, itself first."""
    seen: dict[int, gs.Tensor] = {}
    waiting = [(tensor, left)]
    while waiting:
        one, depth = waiting.pop(0)
        if id(one) in seen or constant(one) is not None:
            continue
        seen[id(one)] = one
        node = one.inputs[0] if len(one.inputs) == 1 else None
        if node is not None and depth and node.op in ARITHMETIC:
            waiting.extend((given, depth - 1) for given in node.inputs)
    yield from seen.values()


def near(found: Polynomial | None, wanted: Polynomial, rtol: float) -> bool:
    """Whether it has the same terms, each coefficient within `rtol` of the wanted one."""
    if found is None:
        return False
    found = {powers: factor for powers, factor in found.items() if factor}
    return found.keys() == wanted.keys() and all(abs(found[powers] - factor) <= rtol * abs(factor) for powers, factor in wanted.items())


def _combined(op: str, parts: list[Polynomial]) -> Polynomial | None:
    first, *rest = parts
    if op == "Identity":
        return first
    if op == "Neg":
        return _times(first, {(0, 0): -1.0})
    if op == "Mul":
        return _times(first, rest[0])
    if op in ("Add", "Sub"):
        return _plus(first, rest[0] if op == "Add" else _times(rest[0], {(0, 0): -1.0}))
    number = _number(rest[0])
    if number is None:
        return None
    if op == "Div":
        return _times(first, {(0, 0): 1 / number}) if number else None
    return _power(first, number)


def _power(base: Polynomial, exponent: float) -> Polynomial | None:
    if exponent not in range(1, HIGHEST + 1):
        return None
    made: Polynomial | None = base
    for _ in range(int(exponent) - 1):
        made = _times(made, base)
    return made


def _number(polynomial: Polynomial) -> float | None:
    return polynomial[(0, 0)] if polynomial.keys() == {(0, 0)} else None


def _plus(left: Polynomial | None, right: Polynomial | None) -> Polynomial | None:
    if left is None or right is None:
        return None
    return {powers: left.get(powers, 0.0) + right.get(powers, 0.0) for powers in {**left, **right}}


def _times(left: Polynomial | None, right: Polynomial | None) -> Polynomial | None:
    if left is None or right is None:
        return None
    made: dict[Powers, float] = {}
    for ((i, j), one), ((k, m), other) in product(left.items(), right.items()):
        made[i + k, j + m] = made.get((i + k, j + m), 0.0) + one * other
    return made if max(map(sum, made)) <= HIGHEST else None


ARITHMETIC = {"Add", "Sub", "Mul", "Div", "Neg", "Pow", "Identity"}
