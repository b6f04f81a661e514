"""Which operators can be computed in another layout of their tensors, and how: elementwise ones, and those along axes that move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import onnx_graphsurgeon as gs

from variants.rewriting.layout import Layout
from variants.rewriting.rewire import Wiring, given, numbers
from variants.symbolic.infer import Facts

UNARY = {
    *("Abs", "Acos", "Asin", "Atan", "Ceil", "Cos", "Cosh", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity"),
    *("IsInf", "IsNaN", "LeakyRelu", "Log", "Mish", "Neg", "Not", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Sinh"),
    *("Softplus", "Softsign", "Sqrt", "Tan", "Tanh", "ThresholdedRelu", "Cast", "Clip"),
}
"""One tensor, element by element; what else they read is a scalar."""
BROADCAST = {
    *("Add", "Sub", "Mul", "Div", "Pow", "Mod", "Where", "Min", "Max", "Sum", "Mean", "PRelu"),
    *("And", "Or", "Xor", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"),
}
REDUCE = {"ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL2", "ReduceSumSquare"}
SOFTMAX = {"Softmax", "LogSoftmax"}
NORM = "LayerNormalization"
SOFTMAX_ALONG_ONE = 13
"""Below this opset they flatten, and their axis means all from there on."""
AXIS_IS_INPUT = {"ReduceSum": 13}
"""Opset from which on the axes of a reduction are an input; the others' 18."""

Made: TypeAlias = tuple[str, dict[str, object], list[gs.Tensor]]


def data(node: gs.Node) -> list[gs.Tensor]:
    """The inputs of `node` that change their layout with it."""
    if node.op in BROADCAST or node.op == "Concat":
        return [tensor for tensor in node.inputs if not tensor.is_empty()]
    return list(node.inputs[:1])


def carries(facts: Facts, wiring: Wiring, layout: Layout, node: gs.Node) -> bool:
    """Whether `node`, whose outputs have the axes of `layout`, can be computed on its source; shapes are checked by who asks."""
    if node.op in UNARY or node.op in BROADCAST:
        return True
    axes = _axes(facts, wiring, node)
    if axes is None or (node.op == NORM and axes != [len(layout.axes) - 1]):
        return False
    mapped = [layout.axes[axis] for axis in axes]
    return None not in mapped and (node.op in ("Concat", "Split", "Slice") or _still_last(axes, mapped, layout))


def _still_last(axes: Sequence[int], mapped: Sequence[int | None], layout: Layout) -> bool:
    """What runs over the last axes stays so: kernels of normalisations and softmax are made for that, and fusions look for it."""
    last = sorted(axes) == list(range(len(layout.axes) - len(axes), len(layout.axes)))
    return not last or sorted(axis for axis in mapped if axis is not None) == list(range(layout.rank - len(axes), layout.rank))


def _axes(facts: Facts, wiring: Wiring, node: gs.Node) -> list[int] | None:
    """The axes along which `node` works, from the front; None for what is not known here."""
    rank = facts.rank(node.inputs[0]) if node.inputs else None
    if rank is None:
        return None
    found = AXES[node.op](wiring, node) if node.op in AXES else None
    return None if found is None else [axis % rank for axis in found]


def _reduced(wiring: Wiring, node: gs.Node) -> list[int] | None:
    return numbers(node, 1, "axes") if node.attrs.get("keepdims", 1) else None


def _softmax(wiring: Wiring, node: gs.Node) -> list[int] | None:
    return [node.attrs.get("axis", -1)] if wiring.graph.opset >= SOFTMAX_ALONG_ONE else None


def _sliced(wiring: Wiring, node: gs.Node) -> list[int] | None:
    starts = numbers(node, 1, "starts")
    explicit = given(node, 3) or "axes" in node.attrs
    return numbers(node, 3, "axes") if explicit else None if starts is None else list(range(len(starts)))


def _normalised(wiring: Wiring, node: gs.Node) -> list[int] | None:
    """Its first axis; none where it normalises several by the shape of its scale, or where its statistics are read."""
    read = [out for out in node.outputs[1:] if out.outputs or id(out) in wiring.kept]
    shape = node.inputs[1].shape
    return [node.attrs.get("axis", -1)] if not read and shape is not None and len(shape) == 1 else None


def _one(wiring: Wiring, node: gs.Node) -> list[int] | None:
    return [node.attrs.get("axis", 0)]


AXES: dict[str, Callable[[Wiring, gs.Node], list[int] | None]] = {
    **dict.fromkeys(REDUCE, _reduced),
    **dict.fromkeys(SOFTMAX, _softmax),
    NORM: _normalised,
    "Slice": _sliced,
    "Concat": _one,
    "Split": _one,
}


def carried(facts: Facts, wiring: Wiring, layout: Layout, node: gs.Node, inputs: list[gs.Tensor]) -> Made:
    """Operator, attributes and inputs of `node` on the source of `layout`; `inputs` stand for its own, data in that layout."""
    attrs = dict(node.attrs)
    if node.op in UNARY or node.op in BROADCAST:
        return node.op, attrs, inputs
    axes = [layout.axes[axis] for axis in _axes(facts, wiring, node) or []]
    if node.op in SOFTMAX or node.op in ("Concat", "Split", NORM):
        return node.op, attrs | {"axis": axes[0]}, inputs
    if "axes" in attrs or wiring.graph.opset < _since(node.op):
        return node.op, attrs | {"axes": axes}, inputs
    place = 3 if node.op == "Slice" else 1
    held = wiring.constant(np.array(axes, np.int64), f"{node.outputs[0].name}/axes")
    return node.op, attrs, [*inputs[:place], held, *inputs[place + 1 :]]


def _since(op: str) -> int:
    return 10 if op == "Slice" else AXIS_IS_INPUT.get(op, 18)
