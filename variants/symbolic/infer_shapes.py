"""The shapes of a node's outputs: one rule an operator; None leaves an output to onnx's own inference."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import onnx_graphsurgeon as gs

from variants.symbolic.infer import Facts, Shape, broadcast
from variants.symbolic.sizes import Size, sized

Rule = Callable[[Facts, gs.Node], Sequence[Shape | None]]
END = 2**31
"""A Slice's end from here on means the end of the axis."""


def shapes_of(facts: Facts, node: gs.Node) -> Sequence[Shape | None]:
    """One shape an output. Raises IndexError, KeyError, ValueError or TypeError where the node is none that its operator allows."""
    from variants.symbolic.infer_fused import FUSED

    domain = "" if node.domain in (None, "", "ai.onnx") else node.domain
    rule = (RULES.get(node.op) if not domain else None) or FUSED.get(domain, {}).get(node.op)
    return rule(facts, node) if rule else [None] * len(node.outputs)


def given(facts: Facts, node: gs.Node, place: int, attribute: str) -> list[int] | None:
    """A list of numbers that older opsets keep as an attribute, newer ones as an input."""
    if attribute in node.attrs:
        return [int(number) for number in node.attrs[attribute]]
    return facts.numbers(node.inputs[place]) if len(node.inputs) > place and not node.inputs[place].is_empty() else None


def _elementwise(facts: Facts, node: gs.Node) -> Sequence[Shape | None]:
    return [broadcast(facts, [facts.shape(tensor) for tensor in node.inputs])]


def _same(facts: Facts, node: gs.Node) -> Sequence[Shape | None]:
    return [facts.shape(node.inputs[0])]


def _matmul(facts: Facts, node: gs.Node) -> Sequence[Shape | None]:
    left, right = (facts.shape(tensor) for tensor in node.inputs)
    if not left or not right:
        return [None]
    batch = broadcast(facts, [left[:-2], right[:-2]])
    rows, columns = left[-2:-1] if len(left) > 1 else (), right[-1:] if len(right) > 1 else ()
    return [None if batch is None else (*batch, *rows, *columns)]


def _gemm(facts: Facts, node: gs.Node) -> Sequence[Shape | None]:
    left, right = (facts.shape(tensor) for tensor in node.inputs[:2])
    if left is None or right is None:
        return [None]
    return [(left[1 if node.attrs.get("transA") else 0], right[0 if node.attrs.get("transB") else 1])]


def _conv(facts: Facts, node: gs.Node) -> Sequence[Shape | None]:
    source, weight = (facts.shape(tensor) for tensor in node.inputs[:2])
    if source is None or weight is None or node.attrs.get("auto_pad", "NOTSET") != "NOTSET":
        return [None]
    kernel = [size.number for size in weight[2:]]
    return [(source[0], weight[0], *_windows(facts, node, source[2:], kernel))]


def _pool(facts: Facts, node: gs.Node) -> Sequence[Shape | None]:
    source = facts.shape(node.inputs[0])
    if source is None or node.attrs.get("auto_pad", "NOTSET") != "NOTSET" or node.attrs.get("ceil_mode"):
        return [None] * len(node.outputs)
    return [(*source[:2], *_windows(facts, node, source[2:], node.attrs["kernel_shape"]))] * len(node.outputs)


def _windows(facts: Facts, node: gs.Node, source: Shape, kernel: Sequence[int | None]) -> Iterable[Size]:
    """The number of windows along each axis."""
    count = len(source)
    strides, dilations = node.attrs.get("strides", [1] * count), node.attrs.get("dilations", [1] * count)
    pads = node.attrs.get("pads", [0] * 2 * count)
    for axis, (size, width) in enumerate(zip(source, kernel, strict=True)):
        if width is None:
            raise ValueError("a kernel of unknown size")
        reach = size + (pads[axis] + pads[axis + count] - dilations[axis] * (width - 1) - 1)
        yield facts.spans.quotient(reach, sized(strides[axis])) + 1


def _reshape(facts: Facts, node: gs.Node) -> Sequence[Shape | None]:
    source, target = facts.shape(node.inputs[0]), facts.value(node.inputs[1])
    if target is None:
        length = facts.shape(node.inputs[1])
        rank = length[0].number if length else None
        return [None if rank is None else tuple(facts.unknown() for _ in range(rank))]
    sizes = list(target)
    if not node.attrs.get("allowzero"):
        sizes = [(source[axis] if source else facts.unknown()) if size.number == 0 else size for axis, size in enumerate(sizes)]
    open_axes = [axis for axis, size in enumerate(sizes) if size.number == -1]
    if open_axes:
        rest = _volume(size for size in sizes if size.number != -1)
        whole = _volume(source).over(rest) if source is not None and rest.number != 0 else None
        sizes[open_axes[0]] = whole if whole is not None else facts.unknown()
    return [tuple(sizes)]


def _volume(sizes: Iterable[Size]) -> Size:
    total = sized(1)
    for size in sizes:
        total = total * size
    return total


def _transpose(facts: Facts, node: gs.Node) -> Sequence[Shape | None]:
    source = facts.shape(node.inputs[0])
    order = node.attrs.get("perm", list(reversed(range(len(source)))) if source is not None else [])
    return [None if source is None else tuple(source[axis] for axis in order)]


def _unsqueeze(facts: Facts, node: gs.Node) -> Sequence[Shape | None]:
    source, axes = facts.shape(node.inputs[0]), given(facts, node, 1, "axes")
    if source is None or axes is None:
        return [None]
    rank = len(source) + len(axes)
    added = {axis % rank for axis in axes}
    left = iter(source)
    return [tuple(sized(1) if axis in added else next(left) for axis in range(rank))]


def _squeeze(facts: Facts, node: gs.Node) -> Sequence[Shape | None]:
    source, axes = facts.shape(node.inputs[0]), given(facts, node, 1, "axes")
    if source is None or axes is None:
        return [None]
    gone = {axis % len(source) for axis in axes}
    return [tuple(size for axis, size in enumerate(source) if axis not in gone)]


def _concat(facts: Facts, node: gs.Node) -> Sequence[Shape | None]:
    known = [shape for tensor in node.inputs if (shape := facts.shape(tensor)) is not None]
    if len(known) < len(node.inputs):
        return [None]
    axis = node.attrs["axis"] % len(known[0])
    total = sized(0)
    for shape in known:
        total = total + shape[axis]
    return [(*known[0][:axis], total, *known[0][axis + 1 :])]


def _split(facts: Facts, node: gs.Node) -> Sequence[Shape | None]:
    source, count = facts.shape(node.inputs[0]), len(node.outputs)
    if source is None:
        return [None] * count
    axis = node.attrs.get("axis", 0) % len(source)
    sizes = given(facts, node, 1, "split")
    if sizes is None:
        part = source[axis].over(sized(count))
        if len(node.inputs) > 1 or part is None:
            return [None] * count
        return [(*source[:axis], part, *source[axis + 1 :])] * count
    return [(*source[:axis], sized(size), *source[axis + 1 :]) for size in sizes]


def _slice(facts: Facts, node: gs.Node) -> Sequence[Shape | None]:
    source = facts.shape(node.inputs[0])
    if source is None or len(node.inputs) < 3:
        return [None]
    starts, ends = facts.value(node.inputs[1]), facts.value(node.inputs[2])
    axes, steps = given(facts, node, 3, "axes"), given(facts, node, 4, "steps")
    if axes is None and (len(node.inputs) < 4 or node.inputs[3].is_empty()):
        axes = list(range(len(source)))
    if axes is None or (steps is None and len(node.inputs) > 4):
        return [tuple(facts.unknown() for _ in source)]
    sizes = list(source)
    for place, axis in enumerate(axes[: len(starts) if starts is not None else None]):
        step = steps[place] if steps else 1
        known = starts is not None and ends is not None and step > 0
        sizes[axis] = _cut(facts, source[axis], starts[place], ends[place], step) if known else facts.unknown()  # type: ignore[index]
    return [tuple(sizes)]


def _cut(facts: Facts, size: Size, start: Size, end: Size, step: int) -> Size:
    """What start:end:step leaves of an axis."""
    first, last = place(facts, size, start), place(facts, size, end)
    if first is None or last is None:
        return facts.unknown()
    left = facts.spans.most(last - first, sized(0))
    return left if step == 1 else facts.spans.quotient(left + (step - 1), sized(step))


def place(facts: Facts, size: Size, at: Size) -> Size | None:
    """Where a Slice's start or end lies on an axis of `size`; None where it may count from either end."""
    low, high = facts.spans.span(at)
    if low >= END:
        return size
    if low >= 0:
        return facts.spans.least(at, size)
    return facts.spans.most(at + size, sized(0)) if high < 0 else None


def _gather(facts: Facts, node: gs.Node) -> Sequence[Shape | None]:
    source, places = (facts.shape(tensor) for tensor in node.inputs)
    if source is None or places is None:
        return [None]
    axis = node.attrs.get("axis", 0) % len(source)
    return [(*source[:axis], *places, *source[axis + 1 :])]


def _expand(facts: Facts, node: gs.Node) -> Sequence[Shape | None]:
    target = facts.value(node.inputs[1])
    return [None if target is None else broadcast(facts, [facts.shape(node.inputs[0]), tuple(target)])]


def _tile(facts: Facts, node: gs.Node) -> Sequence[Shape | None]:
    source, repeats = facts.shape(node.inputs[0]), facts.value(node.inputs[1])
    return [None if source is None or repeats is None else tuple(size * times for size, times in zip(source, repeats, strict=True))]


def _pad(facts: Facts, node: gs.Node) -> Sequence[Shape | None]:
    source, amounts = facts.shape(node.inputs[0]), facts.value(node.inputs[1])
    if source is None or len(node.inputs) > 3:
        return [None]
    if amounts is None or len(amounts) != 2 * len(source):
        return [tuple(facts.unknown() for _ in source)]
    return [tuple(size + amounts[axis] + amounts[axis + len(source)] for axis, size in enumerate(source))]


def _reduced(facts: Facts, node: gs.Node) -> Sequence[Shape | None]:
    source = facts.shape(node.inputs[0])
    single = node.op in ("ArgMax", "ArgMin")
    axes = [node.attrs.get("axis", 0)] if single else given(facts, node, 1, "axes")
    if source is None or (axes is None and len(node.inputs) > 1) or node.attrs.get("noop_with_empty_axes"):
        return [None]
    gone = {axis % len(source) for axis in (axes if axes is not None else range(len(source)))}
    if node.attrs.get("keepdims", 1):
        return [tuple(sized(1) if axis in gone else size for axis, size in enumerate(source))]
    return [tuple(size for axis, size in enumerate(source) if axis not in gone)]


def _filled(facts: Facts, node: gs.Node) -> Sequence[Shape | None]:
    target = facts.value(node.inputs[0])
    return [None if target is None else tuple(target)]


def _range(facts: Facts, node: gs.Node) -> Sequence[Shape | None]:
    start, limit, step = (facts.value(tensor) for tensor in node.inputs)
    if start is None or limit is None or step is None or step.item().number != 1:
        return [(facts.unknown(),)]
    return [(facts.spans.most(limit.item() - start.item(), sized(0)),)]


def _flatten(facts: Facts, node: gs.Node) -> Sequence[Shape | None]:
    source = facts.shape(node.inputs[0])
    axis = node.attrs.get("axis", 1)
    if source is None:
        return [None]
    axis = axis + len(source) if axis < 0 else axis
    return [(_volume(source[:axis]), _volume(source[axis:]))]


def _shape(facts: Facts, node: gs.Node) -> Sequence[Shape | None]:
    rank = facts.rank(node.inputs[0])
    return [None if rank is None else (sized(len(range(rank)[slice(node.attrs.get("start", 0), node.attrs.get("end"))])),)]


def _topk(facts: Facts, node: gs.Node) -> Sequence[Shape | None]:
    source, count = facts.shape(node.inputs[0]), facts.value(node.inputs[1])
    if source is None or count is None:
        return [None, None]
    axis = node.attrs.get("axis", -1) % len(source)
    return [(*source[:axis], count.reshape(-1)[0], *source[axis + 1 :])] * 2


def _same_as_indices(facts: Facts, node: gs.Node) -> Sequence[Shape | None]:
    return [facts.shape(node.inputs[1])]


def _table(names: str, rule: Rule) -> dict[str, Any]:
    return dict.fromkeys(names.split(), rule)


RULES: dict[str, Rule] = {
    **_table("Add Sub Mul Div Pow Mod Min Max Equal Less Greater LessOrEqual GreaterOrEqual And Or Xor Where Sum Mean PRelu", _elementwise),
    **_table("Relu Sigmoid Tanh Erf Exp Log Sqrt Reciprocal Neg Abs Not Cast Identity Floor Ceil Round Sin Cos Sign IsNaN IsInf", _same),
    **_table("Softmax LogSoftmax LeakyRelu HardSigmoid HardSwish Elu Selu Gelu Softplus Mish Clip CumSum InstanceNormalization", _same),
    **_table(
        "Dropout BatchNormalization LayerNormalization QuantizeLinear DequantizeLinear GroupNormalization Trilu ScatterND ScatterElements",
        _same,
    ),
    **_table("ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL2 ReduceSumSquare ArgMax ArgMin", _reduced),
    **_table("MaxPool AveragePool", _pool),
    **{"MatMul": _matmul, "Gemm": _gemm, "Conv": _conv, "Reshape": _reshape, "Transpose": _transpose, "Flatten": _flatten},
    **{"Unsqueeze": _unsqueeze, "Squeeze": _squeeze, "Concat": _concat, "Split": _split, "Slice": _slice, "Gather": _gather},
    **{"GatherElements": _same_as_indices, "Expand": _expand, "Tile": _tile, "Pad": _pad, "Range": _range, "Shape": _shape},
    **{"ConstantOfShape": _filled, "TopK": _topk},
}
