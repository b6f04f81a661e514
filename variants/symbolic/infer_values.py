"""What the elements of shape tensors are: one rule an operator, over small arrays of sizes."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from variants.symbolic.infer import MOST, Facts, Values
from variants.symbolic.sizes import Size, sized

INTEGERS = (onnx.TensorProto.INT64, onnx.TensorProto.INT32, onnx.TensorProto.BOOL)
Rule = Callable[[Facts, gs.Node], Values | None]


def values_of(facts: Facts, node: gs.Node) -> Values | None:
    """The elements of the only output; None where they are unknown, or more than a shape has."""
    rule = RULES.get(node.op)
    found = rule(facts, node) if rule else None
    return found if found is not None and found.size <= MOST and None not in found.reshape(-1).tolist() else None


def _shape(facts: Facts, node: gs.Node) -> Values | None:
    shape = facts.shape(node.inputs[0])
    return None if shape is None else _array(list(shape)[slice(node.attrs.get("start", 0), node.attrs.get("end"))])


def _size(facts: Facts, node: gs.Node) -> Values | None:
    shape = facts.shape(node.inputs[0])
    total = sized(1)
    for size in shape or ():
        total = total * size
    return None if shape is None else _array(total)


def _gather(facts: Facts, node: gs.Node) -> Values | None:
    source, given, places = facts.value(node.inputs[0]), facts.value(node.inputs[1]), facts.numbers(node.inputs[1])
    if source is None or given is None or places is None:
        return None
    indices = np.array(places, np.int64).reshape(given.shape)
    return np.asarray(np.take(source, indices, axis=node.attrs.get("axis", 0)), object)


def _concat(facts: Facts, node: gs.Node) -> Values | None:
    parts = [facts.value(tensor) for tensor in node.inputs]
    known = [part for part in parts if part is not None]
    return np.concatenate(known, axis=node.attrs["axis"]) if len(known) == len(parts) else None


def _reshaped(facts: Facts, node: gs.Node) -> Values | None:
    """The same elements in the shape that is known already."""
    source, shape = facts.value(node.inputs[0]), facts.shape(node.outputs[0])
    sizes = [number for size in shape or () if (number := size.number) is not None]
    return None if source is None or shape is None or len(sizes) < len(shape) else source.reshape(sizes)


def _filled(facts: Facts, node: gs.Node) -> Values | None:
    shape = facts.numbers(node.inputs[0])
    fill = node.attrs.get("value")
    element = np.asarray(fill.values if hasattr(fill, "values") else fill).reshape(-1)[0] if fill is not None else np.float32(0)
    if shape is None or np.prod(shape) > MOST or element.dtype.kind not in "iub":
        return None
    return np.full(shape, bool(element) if element.dtype == bool else sized(int(element)), object)


def _range(facts: Facts, node: gs.Node) -> Values | None:
    given = [facts.numbers(tensor) for tensor in node.inputs]
    known = [numbers[0] for numbers in given if numbers]
    if len(known) < len(given) or not known[2] or len(range(*known)) > MOST:
        return None
    return _array([sized(number) for number in range(*known)])


def _slice(facts: Facts, node: gs.Node) -> Values | None:
    source = facts.value(node.inputs[0])
    given = [facts.numbers(tensor) for tensor in node.inputs[1:]]
    if source is None or len(given) < 2 or any(numbers is None for numbers in given):
        return None
    starts, ends, *rest = [numbers or [] for numbers in given]
    axes = rest[0] if rest else range(len(starts))
    steps = rest[1] if len(rest) > 1 else [1] * len(starts)
    index = [slice(None)] * source.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        index[axis] = slice(start, None if step < 0 and end < -source.shape[axis] else end, step)
    return source[tuple(index)]


def _cast(facts: Facts, node: gs.Node) -> Values | None:
    source = facts.value(node.inputs[0])
    target = node.attrs["to"]
    if source is None or target not in INTEGERS:
        return None
    if target == onnx.TensorProto.BOOL:
        return _each(lambda element: element if isinstance(element, bool) else _differs(facts, element), source)
    return _each(lambda element: sized(int(element)) if isinstance(element, bool) else element, source)


def _differs(facts: Facts, size: Size) -> bool | None:
    equal = _equal(facts, size, sized(0))
    return None if equal is None else not equal


def _equal(facts: Facts, left: Size, right: Size) -> bool | None:
    if left == right:
        return True
    low, high = facts.spans.span(left - right)
    return False if low > 0 or high < 0 else None


def _less(facts: Facts, left: Size, right: Size) -> bool | None:
    low, high = facts.spans.span(left - right)
    return True if high < 0 else False if low >= 0 else None


def _divided(facts: Facts, left: Size, right: Size) -> Size | None:
    # ONNX rounds towards zero, which is rounding down only for what is not negative.
    return facts.spans.quotient(left, right) if facts.spans.span(left)[0] >= 0 and facts.spans.span(right)[0] > 0 else None


def _modulo(facts: Facts, left: Size, right: Size) -> Size | None:
    quotient = _divided(facts, left, right)
    return None if quotient is None else left - quotient * right


def _where(facts: Facts, node: gs.Node) -> Values | None:
    condition, yes, no = (facts.value(tensor) for tensor in node.inputs)
    if condition is None or yes is None or no is None:
        return None
    return _each(lambda c, y, n: (y if c else n) if isinstance(c, bool) else None, condition, yes, no)


def _product(facts: Facts, node: gs.Node) -> Values | None:
    """ReduceProd over everything, as exporters write the number of elements."""
    source = facts.value(node.inputs[0])
    if source is None or source.ndim != 1 or len(node.inputs) > 1 or node.attrs.get("axes", [0]) != [0]:
        return None
    total = sized(1)
    for size in source:
        total = total * size
    return _array([total] if node.attrs.get("keepdims", 1) else total)


def _elementwise(combine: Callable[..., Any]) -> Rule:
    def rule(facts: Facts, node: gs.Node) -> Values | None:
        parts = [facts.value(tensor) for tensor in node.inputs]
        known = [part for part in parts if part is not None]
        return _each(lambda *elements: combine(facts, *elements), *known) if len(known) == len(parts) else None

    return rule


def _each(combine: Callable[..., Any], *arrays: Values) -> Values | None:
    spread = np.broadcast_arrays(*arrays)
    if spread[0].size > MOST:
        return None
    made = np.empty(spread[0].shape, object)
    for place in np.ndindex(made.shape):
        made[place] = combine(*(array[place] for array in spread))
    return made


def _array(elements: Any) -> Values:
    made = np.empty(np.shape(elements) if isinstance(elements, list) else (), object)
    if isinstance(elements, list):
        made[:] = elements
    else:
        made[()] = elements
    return made


RULES: dict[str, Rule] = {
    "Shape": _shape,
    "Size": _size,
    "Gather": _gather,
    "Concat": _concat,
    "ConstantOfShape": _filled,
    "Range": _range,
    "Slice": _slice,
    "Cast": _cast,
    "Where": _where,
    "ReduceProd": _product,
    "Add": _elementwise(lambda facts, left, right: left + right),
    "Sub": _elementwise(lambda facts, left, right: left - right),
    "Mul": _elementwise(lambda facts, left, right: left * right),
    "Neg": _elementwise(lambda facts, size: size * -1),
    "Div": _elementwise(_divided),
    "Mod": _elementwise(_modulo),
    "Min": _elementwise(lambda facts, first, *more: _folded(facts.spans.least, first, more)),
    "Max": _elementwise(lambda facts, first, *more: _folded(facts.spans.most, first, more)),
    "Equal": _elementwise(_equal),
    "Less": _elementwise(_less),
    "Greater": _elementwise(lambda facts, left, right: _less(facts, right, left)),
    "LessOrEqual": _elementwise(lambda facts, left, right: _not(_less(facts, right, left))),
    "GreaterOrEqual": _elementwise(lambda facts, left, right: _not(_less(facts, left, right))),
    "Not": _elementwise(lambda facts, element: _not(element)),
    "And": _elementwise(lambda facts, left, right: operator.and_(left, right)),
    "Or": _elementwise(lambda facts, left, right: operator.or_(left, right)),
    **dict.fromkeys(("Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"), _reshaped),
}


def _not(element: bool | None) -> bool | None:
    return None if element is None else not element


def _folded(combine: Callable[[Size, Size], Size], first: Size, more: tuple[Size, ...]) -> Size:
    for other in more:
        first = combine(first, other)
    return first
