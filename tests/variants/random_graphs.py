"""Random valid ONNX graphs that shrink: a graph is built from a list of steps, each some small numbers.

A step that does not suit the tensor it picked becomes a Relu, so every list is a graph, and so is every shorter one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tests.variants.graphs import value
from variants.variant import Array

BATCH = "batch"
Dim = int | str
Shape = tuple[Dim, ...]
SHAPES: tuple[Shape, ...] = ((BATCH, 4, 8), (BATCH, "length", 8), (BATCH, 8, 4, 4), (BATCH, 8), (2, 6, 8), (BATCH, 2, 3, 4))
"""Of the input x, float32; channels stand second where there are four dimensions."""
OPSETS = (13, 17, 18, 20)
KINDS = 42
"""How many fragments there are; a test holds it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One fragment: `kind` modulo the number of them, `pick` of the tensors so far (0 the last), `a`, `b`, `c` for it to choose by."""

    kind: int
    pick: int
    a: int
    b: int
    c: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a graph is built from. `shown` picks the tensors that are further outputs; `stored` says where constants lie."""

    steps: tuple[Step, ...]
    shape: Shape = SHAPES[0]
    opset: int = OPSETS[0]
    shown: tuple[int, ...] = ()
    stored: bool = True


@dataclass(frozen=True, slots=True)
class Tensor:
    """A float32 tensor of the graph."""

    name: str
    shape: Shape


@dataclass(slots=True)
class Builder:
    """A graph while it is built; `count` numbers what it names, `draw` fills constants."""

    plan: Plan
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    held: dict[str, Array] = field(default_factory=dict)
    tensors: list[Tensor] = field(default_factory=list)
    draw: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    count: int = 0

    def name(self, stem: str) -> str:
        self.count += 1
        return f"{stem}_{self.count}"

    def constant(self, array: Any) -> str:
        """An initializer, or a Constant node where the plan says so; scalars equal to one that is there are shared."""
        array = np.asarray(array)
        for name, other in self.held.items():
            if array.size == 1 and other.shape == array.shape and other.dtype == array.dtype and other == array:
                return name
        name = self.name("const")
        if self.plan.stored:
            self.held[name] = array
        else:
            self.nodes.append(helper.make_node("Constant", [], [name], name, value=numpy_helper.from_array(array, name)))
        return name

    def ints(self, *numbers: int) -> str:
        return self.constant(np.array(numbers, np.int64))

    def weight(self, *shape: int) -> str:
        """Normal values that keep a product's size."""
        return self.constant((self.draw.normal(size=shape) / np.sqrt(shape[0] if len(shape) > 1 else 1)).astype(np.float32))

    def op(self, kind: str, inputs: Sequence[str], outputs: int = 1, **attributes: Any) -> str:
        """Add a node; gives its first output, the others are named after it."""
        first = self.name(kind.lower())
        names = [first, *(f"{first}.{number}" for number in range(1, outputs))]
        self.nodes.append(helper.make_node(kind, list(inputs), names, f"/{first}", **attributes))
        return first

    def reduced(self, kind: str, source: str, axes: Sequence[int], keepdims: int = 1) -> str:
        """A reduction over `axes`, which are an input from opset 18 on (13 for ReduceSum)."""
        if kind == "ReduceSum" or self.plan.opset >= 18:
            return self.op(kind, [source, self.ints(*axes)], keepdims=keepdims)
        return self.op(kind, [source], axes=list(axes), keepdims=keepdims)

    def other(self, tensor: Tensor, pick: int) -> Tensor | None:
        """Another tensor of the same shape."""
        same = [t for t in self.tensors if t.shape == tensor.shape and t is not tensor]
        return same[-1 - pick % len(same)] if same else None


Fragment = Callable[[Builder, Tensor, Step], Tensor | None]


def build(plan: Plan) -> onnx.ModelProto:
    """The graph of a plan, valid by onnx's checker; its last tensor is an output, and so is every leaf that `shown` picks."""
    from tests.variants.random_fragments import FRAGMENTS

    builder = Builder(plan)
    builder.tensors.append(Tensor("x", plan.shape))
    for step in plan.steps:
        tensor = builder.tensors[-1 - step.pick % len(builder.tensors)]
        before = len(builder.nodes)
        made = FRAGMENTS[step.kind % len(FRAGMENTS)](builder, tensor, step)
        if made is None:
            del builder.nodes[before:]
            made = Tensor(builder.op("Relu", [tensor.name]), tensor.shape)
        builder.tensors.append(made)
    return _finished(builder)


def _finished(builder: Builder) -> onnx.ModelProto:
    last = builder.tensors[-1]
    shown = {last.name: last} | {
        t.name: t for pick in builder.plan.shown if (t := builder.tensors[pick % len(builder.tensors)]).name != "x"
    }
    if "x" in shown:
        shown = {(name := builder.op("Identity", ["x"])): Tensor(name, last.shape)}
    read = {name for node in builder.nodes for name in _reads(node)}
    stored = [numpy_helper.from_array(array, name) for name, array in builder.held.items() if name in read]
    ports = [value("x", builder.plan.shape)], [value(t.name, t.shape) for t in shown.values()]
    graph = helper.make_graph(builder.nodes, "random", *ports, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", builder.plan.opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def _reads(node: onnx.NodeProto) -> list[str]:
    inside = [name for a in node.attribute if a.HasField("g") for inner in a.g.node for name in _reads(inner)]
    return [*node.input, *inside]


def as_float(builder: Builder, name: str) -> str:
    return builder.op("Cast", [name], to=TensorProto.FLOAT)


def plans(most: int = 8, near: Sequence[int] = ()) -> st.SearchStrategy[Plan]:
    """Lists of up to `most` steps and what is around them, simplest first; the usual shapes of a transformer more often.

    Of the kinds `near` there are as many as of all others together.
    """
    small = st.integers(0, 11)
    kinds = st.sampled_from(range(KINDS))
    step = st.builds(Step, st.one_of(kinds, st.sampled_from(near)) if near else kinds, st.integers(0, 3), small, small, small)
    steps = st.one_of(st.lists(step, min_size=1, max_size=3), st.lists(step, min_size=4, max_size=most))
    return st.builds(
        Plan,
        steps.map(tuple),
        st.sampled_from((*SHAPES, *SHAPES[:3])),
        st.sampled_from(OPSETS),
        st.lists(st.integers(0, 11), max_size=2).map(tuple),
        st.booleans().map(lambda nodes: not nodes),
    )


TRIED = ((0, 0, 0), (1, 1, 1), (1, 2, 1), (2, 2, 4))


@cache
def alone() -> tuple[tuple[int, onnx.ModelProto], ...]:
    """Every kind of fragment by itself in a few forms, on each shape that it suits."""
    found = {}
    for kind in range(KINDS):
        for shape in (SHAPES[1], SHAPES[2]):
            for a, b, c in TRIED:
                model = build(Plan((Step(kind, 0, a, b, c), Step(kind, 0, a, b, c)), shape))
                found[kind, model.SerializeToString()] = model
    return tuple((kind, model) for (kind, _), model in found.items() if len(model.graph.node) > 2)
