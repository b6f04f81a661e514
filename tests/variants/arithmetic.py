"""Small graphs written as arithmetic: `0.5 * x * (1 + erf(x / 2**0.5))` makes the nodes in just that order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.variants.graphs import SHAPE, Dims, value
from variants.variant import Array

KINDS = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.float16): TensorProto.FLOAT16, np.dtype(np.float64): TensorProto.DOUBLE}


@dataclass
class Sheet:
    """What was written so far; numbers become scalars of `dtype`, as initializers or as Constant nodes."""

    dtype: Any = np.float32
    as_nodes: bool = False
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def input(self, name: str = "x") -> Term:
        return Term(self, name)

    def apply(self, op: str, *given: Any, **attributes: Any) -> Term:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [self.term(one).name for one in given], [name], name=f"{op}_{name}", **attributes))
        return Term(self, name)

    def term(self, given: Any) -> Term:
        if isinstance(given, Term):
            return given
        array = np.asarray(given) if isinstance(given, np.ndarray | np.generic) else np.asarray(given, self.dtype)
        name = f"c{len(self.nodes)}_{len(self.constants)}"
        tensor = numpy_helper.from_array(array, name)
        if self.as_nodes:
            self.nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        else:
            self.constants.append(tensor)
        return Term(self, name)


@dataclass(frozen=True)
class Term:
    """A tensor of a Sheet."""

    sheet: Sheet
    name: str

    __array_ufunc__ = None  # an array on the left leaves the operation to the term

    def __add__(self, other: Any) -> Term:
        return self.sheet.apply("Add", self, other)

    def __radd__(self, other: Any) -> Term:
        return self.sheet.apply("Add", other, self)

    def __sub__(self, other: Any) -> Term:
        return self.sheet.apply("Sub", self, other)

    def __rsub__(self, other: Any) -> Term:
        return self.sheet.apply("Sub", other, self)

    def __mul__(self, other: Any) -> Term:
        return self.sheet.apply("Mul", self, other)

    def __rmul__(self, other: Any) -> Term:
        return self.sheet.apply("Mul", other, self)

    def __truediv__(self, other: Any) -> Term:
        return self.sheet.apply("Div", self, other)

    def __rtruediv__(self, other: Any) -> Term:
        return self.sheet.apply("Div", other, self)

    def __pow__(self, other: Any) -> Term:
        return self.sheet.apply("Pow", self, other)

    def __neg__(self) -> Term:
        return self.sheet.apply("Neg", self)

    def to(self, kind: int) -> Term:
        return self.sheet.apply("Cast", self, to=kind)


def call(op: str) -> Callable[..., Term]:
    """An operator as a function of terms."""

    def apply(first: Term, *more: Any, **attributes: Any) -> Term:
        return first.sheet.apply(op, first, *more, **attributes)

    return apply


def written(
    formula: Callable[..., Term | tuple[Term, ...]],
    inputs: Sequence[onnx.ValueInfoProto] = (value("x"),),
    outputs: Sequence[onnx.ValueInfoProto] = (value("y"),),
    opset: int = 13,
    dtype: Any = np.float32,
    as_nodes: bool = False,
) -> onnx.ModelProto:
    """The model of a formula over the inputs; float32 [batch, 4, 8] unless said otherwise."""
    sheet = Sheet(dtype, as_nodes)
    found = formula(*(sheet.input(given.name) for given in inputs))
    results = found if isinstance(found, tuple) else (found,)
    new = {result.name: output.name for result, output in zip(results, outputs, strict=True)}
    for node in sheet.nodes:
        node.input[:] = [new.get(name, name) for name in node.input]
        node.output[:] = [new.get(name, name) for name in node.output]
    graph = helper.make_graph(sheet.nodes, "written", list(inputs), list(outputs), sheet.constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    return made


def of(dtype: Any, shape: Dims = SHAPE) -> dict[str, Any]:
    """Input x, output y and constants of one element type, for `written`."""
    kind = KINDS[np.dtype(dtype)]
    return {"inputs": (value("x", shape, kind),), "outputs": (value("y", shape, kind),), "dtype": dtype}


def normal(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> Array:
    """Normal values."""
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)
