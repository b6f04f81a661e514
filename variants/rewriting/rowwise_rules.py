"""The rules of ONNX's own operators, and of com.microsoft's that stand for a few of them: which rows need which."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from variants.rewriting.carried import BROADCAST, REDUCE, SOFTMAX, SOFTMAX_ALONG_ONE, UNARY
from variants.rewriting.reshaping import target
from variants.rewriting.rewire import numbers
from variants.rewriting.rowwise import MICROSOFT, Needed, RowWise, Rule
from variants.rewriting.selection import smaller
from variants.rewriting.slicing import spans
from variants.symbolic.infer import Shape
from variants.symbolic.sizes import Size, sized


def _unary(rows: RowWise, node: gs.Node, axis: int) -> Needed | None:
    return {0: axis}


def _elementwise(rows: RowWise, node: gs.Node, axis: int) -> Needed | None:
    rank = rows.facts.rank(node.outputs[0])
    return None if rank is None else rows.broadcast(node, range(len(node.inputs)), rank - 1 - axis, rows.size(node, axis))


def _biased(rows: RowWise, node: gs.Node, axis: int) -> Needed | None:
    """An activation with a bias for each column."""
    rank = rows.facts.rank(node.inputs[0])
    return None if rank is None or axis == rank - 1 else {0: axis}


def _softmax(rows: RowWise, node: gs.Node, axis: int) -> Needed | None:
    rank = rows.facts.rank(node.inputs[0])
    if rank is None:
        return None
    if rows.wiring.graph.opset < SOFTMAX_ALONG_ONE:
        return {0: axis} if axis < node.attrs.get("axis", 1) % rank else None
    return {0: axis} if axis != node.attrs.get("axis", -1) % rank else None


def _normalised(rows: RowWise, node: gs.Node, axis: int) -> Needed | None:
    """Over the last axes, with a scale and a bias for those only; its statistics are not read."""
    rank = rows.facts.rank(node.inputs[0])
    ranks = [rows.facts.rank(tensor) for tensor in node.inputs[1:] if not tensor.is_empty()]
    if rank is None or rows.live(node) != [0]:
        return None
    first = node.attrs.get("axis", -1) % rank
    return {0: axis} if axis < first and all(one is not None and one <= rank - first for one in ranks) else None


def _skipped(rows: RowWise, node: gs.Node, axis: int) -> Needed | None:
    """com.microsoft's norm of a sum; its fourth output is the sum."""
    rank = rows.facts.rank(node.inputs[0])
    shape = rows.facts.shape(node.inputs[0])
    if rank is None or shape is None or axis == rank - 1 or not set(rows.live(node)) <= {0, 3}:
        return None
    return rows.broadcast(node, (0, 1), rank - 1 - axis, shape[axis])


def _reduced(rows: RowWise, node: gs.Node, axis: int) -> Needed | None:
    rank, axes = rows.facts.rank(node.inputs[0]), numbers(node, 1, "axes")
    if rank is None or not axes:
        return None
    gone = {one % rank for one in axes}
    own = axis if node.attrs.get("keepdims", 1) else [one for one in range(rank) if one not in gone][axis]
    return {0: own} if own not in gone else None


def _matmul(rows: RowWise, node: gs.Node, axis: int) -> Needed | None:
    ranks = [rows.facts.rank(tensor) for tensor in node.inputs]
    if any(rank is None or rank < 2 for rank in ranks):
        return None
    rank = max(rank for rank in ranks if rank is not None)
    if axis == rank - 2:
        return {0: (ranks[0] or 0) - 2}
    return rows.broadcast(node, (0, 1), rank - 1 - axis, rows.size(node, axis)) if axis < rank - 2 else None


def _gemm(rows: RowWise, node: gs.Node, axis: int) -> Needed | None:
    shape = rows.facts.shape(node.inputs[0])
    if axis != 0 or shape is None:
        return None
    own = 1 if node.attrs.get("transA", 0) else 0
    added = rows.broadcast(node, (2,), 1, shape[own])
    return None if added is None else {0: own} | added


def _transposed(rows: RowWise, node: gs.Node, axis: int) -> Needed | None:
    rank = rows.facts.rank(node.inputs[0])
    if rank is None:
        return None
    return {0: node.attrs.get("perm", list(reversed(range(rank))))[axis]}


def _unsqueezed(rows: RowWise, node: gs.Node, axis: int) -> Needed | None:
    rank, axes = rows.facts.rank(node.inputs[0]), numbers(node, 1, "axes")
    if rank is None or axes is None:
        return None
    added = {one % (rank + len(axes)) for one in axes}
    return None if axis in added else {0: axis - sum(one < axis for one in added)}


def _squeezed(rows: RowWise, node: gs.Node, axis: int) -> Needed | None:
    rank, axes = rows.facts.rank(node.inputs[0]), numbers(node, 1, "axes")
    if rank is None or axes is None:
        return None
    gone = {one % rank for one in axes}
    return {0: [one for one in range(rank) if one not in gone][axis]}


def _reshaped(rows: RowWise, node: gs.Node, axis: int) -> Needed | None:
    """The axis is one of its own before and after: as long, and as much lies in front of it."""
    before, after = rows.facts.shape(node.inputs[0]), rows.facts.shape(node.outputs[0])
    if before is None or after is None:
        return None
    front = _volume(after[:axis])
    own = next((one for one, size in enumerate(before) if size == after[axis] and _volume(before[:one]) == front), None)
    return {0: own} if own is not None and reshape_target(rows, node, own, axis) is not None else None


def reshape_target(rows: RowWise, node: gs.Node, before: int, after: int) -> list[int] | gs.Tensor | None:
    """What the Reshape `node` needs as its target when only `rows` of its input's axis `before` are left, which is `after` in its output.

    Numbers, or its own target where that leaves the axis open; None where neither can say it.
    """
    source, wanted = rows.facts.shape(node.inputs[0]), rows.facts.shape(node.outputs[0])
    if source is None or wanted is None:
        return None
    left = smaller(source[before], rows.rows, rows.facts)
    sizes = target((*source[:before], left, *source[before + 1 :]), (*wanted[:after], left, *wanted[after + 1 :]))
    return sizes if sizes is not None else _left_open(rows, node, before, after)


def _left_open(rows: RowWise, node: gs.Node, before: int, after: int) -> gs.Tensor | None:
    """Its own target, where that says -1 for the axis, or 0 in its own place, and 0 in no other place for it."""
    sizes = rows.facts.value(node.inputs[1])
    if sizes is None or node.attrs.get("allowzero", 0):
        return None
    said = [size.number for size in sizes.reshape(-1)]
    open_ = said[after] == -1 or (said[after] == 0 and before == after)
    copied = before != after and before < len(said) and said[before] == 0
    return node.inputs[1] if open_ and not copied else None


def _volume(sizes: Shape) -> Size:
    total = sized(1)
    for size in sizes:
        total = total * size
    return total


def _joined(rows: RowWise, node: gs.Node, axis: int) -> Needed | None:
    rank = rows.facts.rank(node.inputs[0])
    return dict.fromkeys(range(len(node.inputs)), axis) if rank is not None and axis != node.attrs["axis"] % rank else None


def _parted(rows: RowWise, node: gs.Node, axis: int) -> Needed | None:
    rank = rows.facts.rank(node.inputs[0])
    return {0: axis} if rank is not None and axis != node.attrs.get("axis", 0) % rank else None


def _sliced(rows: RowWise, node: gs.Node, axis: int) -> Needed | None:
    cuts = spans(rows.facts, node)
    return {0: axis} if cuts is not None and axis not in cuts else None


def _gathered(rows: RowWise, node: gs.Node, axis: int) -> Needed | None:
    """Of a table by integers, the rows are the integers'."""
    source, places = (rows.facts.rank(tensor) for tensor in node.inputs)
    if source is None or places is None:
        return None
    along = node.attrs.get("axis", 0) % source
    if along <= axis < along + places:
        return {1: axis - along}
    return {0: axis if axis < along else axis - places + 1}


def _quantised(rows: RowWise, node: gs.Node, axis: int) -> Needed | None:
    """With one scale for all, or one for each place of another axis."""
    rank, scale = rows.facts.rank(node.inputs[0]), rows.facts.shape(node.inputs[1])
    if rank is None or scale is None or len(scale) > 1:
        return None
    whole = not scale or scale[0].number == 1
    return {0: axis} if whole or node.attrs.get("axis", 1) % rank != axis else None


RULES: dict[tuple[str, str], Rule] = {
    **{("", op): _unary for op in UNARY},
    **{("", op): _elementwise for op in BROADCAST},
    **{("", op): _reduced for op in REDUCE},
    **{("", op): _softmax for op in SOFTMAX},
    **{("", op): _normalised for op in ("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization")},
    **{("", op): _quantised for op in ("QuantizeLinear", "DequantizeLinear")},
    **{(MICROSOFT, op): _skipped for op in ("SkipLayerNormalization", "SkipSimplifiedLayerNormalization")},
    **{(MICROSOFT, op): _biased for op in ("BiasGelu", "FastGelu")},
    **{(MICROSOFT, op): _unary for op in ("Gelu", "QuickGelu")},
    **{("", "MatMul"): _matmul, ("", "Gemm"): _gemm, ("", "Transpose"): _transposed, ("", "Reshape"): _reshaped},
    **{("", "Unsqueeze"): _unsqueezed, ("", "Squeeze"): _squeezed, ("", "Concat"): _joined, ("", "Split"): _parted},
    **{("", "Slice"): _sliced, ("", "Gather"): _gathered},
}
