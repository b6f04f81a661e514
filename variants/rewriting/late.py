"""Rows picked from a constant at run time, and what commutes with the picking.

A `Late` tensor equals pick(table) along `axis`, pick being a Slice (any length) or a Gather whose places come at run time.
An operator that treats each row alike may as well run on the whole table: f(pick(table)) = pick(f(table)).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import onnx_graphsurgeon as gs

from variants.graph import constant
from variants.symbolic.infer import Facts, Shape
from variants.symbolic.infer_shapes import given
from variants.variant import Array


@dataclass(frozen=True, slots=True)
class Late:
    """`tensor` is pick(table): `pick` the Slice or Gather, `rows` the table's size along `axis`."""

    tensor: gs.Tensor
    pick: gs.Node
    axis: int
    rows: int


Found = dict[int, Late]
Rule = Callable[["Finder", gs.Node, Late], int | None]


class Finder:
    """Finds late tensors in topological order."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.found: Found = {}

    def visit(self, node: gs.Node) -> bool:
        """Whether the output of `node` is late."""
        if len(node.outputs) != 1 or node.domain not in (None, "", "ai.onnx"):
            return False
        late = self._picked(node) or self._commuting(node)
        if late is not None:
            self.found[id(node.outputs[0])] = late
        return late is not None

    def table_shape(self, late: Late) -> tuple[int, ...]:
        """The shape of the table that `late` is picked from."""
        shape = self.facts.shape(late.tensor) or ()
        return tuple(late.rows if axis == late.axis else size.number or 0 for axis, size in enumerate(shape))

    def _picked(self, node: gs.Node) -> Late | None:
        if node.op not in ("Slice", "Gather") or all(constant(tensor) is not None for tensor in node.inputs[1:]):
            return None
        table = constant(node.inputs[0])
        if table is None:
            return None
        axis = self._gathered(node, table) if node.op == "Gather" else self._sliced(node, table)
        return None if axis is None else Late(node.outputs[0], node, axis, table.shape[axis])

    def _gathered(self, node: gs.Node, table: Array) -> int | None:
        """Only from a table of rows: what is picked is [places..., row], and operators on the row alone commute."""
        picks_late = id(node.inputs[1]) in self.found
        return 0 if table.ndim == 2 and node.attrs.get("axis", 0) in (0, -2) and not picks_late else None

    def _sliced(self, node: gs.Node, table: Array) -> int | None:
        axes, steps = given(self.facts, node, 3, "axes"), given(self.facts, node, 4, "steps")
        if len(node.inputs) < 4 or axes is None or len(axes) != 1 or (steps is None and len(node.inputs) > 4):
            return None
        return axes[0] % table.ndim

    def _commuting(self, node: gs.Node) -> Late | None:
        late = [self.found[id(tensor)] for tensor in node.inputs if id(tensor) in self.found]
        if not late:
            return None
        if node.op == "Reshape" and len(late) == 1 and late[0].tensor is node.inputs[0] and late[0].pick.op == "Slice":
            return self._kept(node, late[0], _reshaped(self, node, late[0]))
        known = all(id(tensor) in self.found or tensor.is_empty() or constant(tensor) is not None for tensor in node.inputs)
        if not known or any(one.pick is not late[0].pick for one in late):
            return None
        rule = (SLICED if late[0].pick.op == "Slice" else GATHERED).get(node.op)
        axes = {rule(self, node, one) for one in late} if rule else {None}
        axis = axes.pop()
        return self._kept(node, late[0], axis) if not axes else None

    def _kept(self, node: gs.Node, late: Late, axis: int | None) -> Late | None:
        """The output, if inference agrees that it has the picked rows at `axis` and nothing else that is free."""
        if axis is None:
            return None
        before, after = self.facts.shape(late.tensor), self.facts.shape(node.outputs[0])
        if late.pick.op == "Gather":
            return Late(node.outputs[0], late.pick, axis, late.rows) if after and after[-1].number is not None else None
        if before is None or after is None or axis >= len(after) or after[axis] != before[late.axis]:
            return None
        rest = (size.number for place, size in enumerate(after) if place != axis)
        return None if None in rest else Late(node.outputs[0], late.pick, axis, late.rows)


def _rank(finder: Finder, tensor: gs.Tensor) -> int:
    return finder.facts.rank(tensor) or 0


def _same(finder: Finder, node: gs.Node, late: Late) -> int | None:
    return late.axis if node.inputs[0] is late.tensor else None


def _elementwise(finder: Finder, node: gs.Node, late: Late) -> int | None:
    """Its place counted from the last axis, if no constant varies along it."""
    back = late.axis - _rank(finder, late.tensor)
    for tensor in node.inputs:
        value = constant(tensor)
        if value is not None and value.ndim >= -back and value.shape[back] != 1:
            return None
    return back + max(_rank(finder, tensor) for tensor in node.inputs)


def _product(finder: Finder, node: gs.Node, late: Late) -> int | None:
    left, right = node.inputs
    rank = _rank(finder, late.tensor)
    back = late.axis - rank
    if constant(left) is None and constant(right) is None:
        return None
    other = constant(right) if left is late.tensor else constant(left)
    summed = -1 if left is late.tensor else -2
    if other is None or rank < 2 or back == summed or other.ndim < 2:
        return None
    if back < -2 and other.ndim >= -back and other.shape[back] != 1:
        return None
    return back + max(rank, other.ndim)


def _gemm(finder: Finder, node: gs.Node, late: Late) -> int | None:
    rows_of_c = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    varies = rows_of_c is not None and rows_of_c.ndim == 2 and rows_of_c.shape[0] != 1
    return 0 if node.inputs[0] is late.tensor and late.axis == 0 and not node.attrs.get("transA") and not varies else None


def _transposed(finder: Finder, node: gs.Node, late: Late) -> int | None:
    rank = _rank(finder, late.tensor)
    order = [int(axis) for axis in node.attrs.get("perm", reversed(range(rank)))]
    return order.index(late.axis)


def _unsqueezed(finder: Finder, node: gs.Node, late: Late) -> int | None:
    axes, rank = given(finder.facts, node, 1, "axes"), _rank(finder, node.outputs[0])
    if axes is None:
        return None
    added = {axis % rank for axis in axes}
    return [axis for axis in range(rank) if axis not in added][late.axis]


def _squeezed(finder: Finder, node: gs.Node, late: Late) -> int | None:
    axes, rank = given(finder.facts, node, 1, "axes"), _rank(finder, late.tensor)
    if axes is None:
        return None
    gone = {axis % rank for axis in axes}
    return None if late.axis in gone else late.axis - sum(axis < late.axis for axis in gone)


def _reshaped(finder: Finder, node: gs.Node, late: Late) -> int | None:
    """Where the sliced axis is, if the sizes before it and behind it are joined or parted among themselves."""
    before, after = finder.facts.shape(late.tensor), finder.facts.shape(node.outputs[0])
    if before is None or after is None:
        return None
    wanted = _sides(before, late.axis)
    places = (axis for axis, size in enumerate(after) if size == before[late.axis])
    return next((axis for axis in places if wanted is not None and _sides(after, axis) == wanted), None)


def _sides(shape: Shape, axis: int) -> tuple[int, int] | None:
    sides = [[size.number for size in part] for part in (shape[:axis], shape[axis + 1 :])]
    if any(number is None for side in sides for number in side):
        return None
    return prod(number or 0 for number in sides[0]), prod(number or 0 for number in sides[1])


def _looked_up(finder: Finder, node: gs.Node, late: Late) -> int | None:
    """Gather(table, pick(places)) = pick(Gather(table, places))."""
    if node.inputs[1] is not late.tensor:
        return None
    return int(node.attrs.get("axis", 0)) % _rank(finder, node.inputs[0]) + late.axis


def _along(axes: Callable[[Finder, gs.Node, int], Sequence[int] | None]) -> Rule:
    """An operator that mixes what lies along some axes and keeps the rank."""

    def rule(finder: Finder, node: gs.Node, late: Late) -> int | None:
        rank = _rank(finder, late.tensor)
        mixed = axes(finder, node, rank) if node.inputs[0] is late.tensor else None
        return None if mixed is None or late.axis in {axis % rank for axis in mixed} else late.axis

    return rule


def _reduced_axes(finder: Finder, node: gs.Node, rank: int) -> Sequence[int] | None:
    return given(finder.facts, node, 1, "axes") if node.attrs.get("keepdims", 1) else None


def _on_rows(finder: Finder, node: gs.Node, late: Late) -> int | None:
    """A picked row of one axis times a matrix, or with a vector: the Gather's own axes are not touched."""
    others = [value for tensor in node.inputs if (value := constant(tensor)) is not None]
    row = constant(late.pick.inputs[0])
    if row is None or row.ndim != 2 or len(others) < len(node.inputs) - sum(tensor is late.tensor for tensor in node.inputs):
        return None
    if node.op == "MatMul":
        return 0 if node.inputs[0] is late.tensor and others[0].ndim == 2 else None
    return 0 if all(value.ndim <= 1 for value in others) else None


UNARY = (
    *("Relu", "Sigmoid", "Tanh", "Erf", "Exp", "Log", "Sqrt", "Reciprocal", "Neg", "Abs", "Sin", "Cos", "Cast", "Identity"),
    *("Gelu", "LeakyRelu", "HardSigmoid", "HardSwish", "Elu", "Softplus"),
)
BINARY = ("Add", "Sub", "Mul", "Div", "Pow")
SLICED: dict[str, Rule] = {
    **dict.fromkeys(UNARY, _same),
    **dict.fromkeys(BINARY, _elementwise),
    "MatMul": _product,
    "Gemm": _gemm,
    "Transpose": _transposed,
    "Unsqueeze": _unsqueezed,
    "Squeeze": _squeezed,
    "Gather": _looked_up,
    "Softmax": _along(lambda finder, node, rank: [node.attrs.get("axis", -1)]),
    "LayerNormalization": _along(lambda finder, node, rank: range(node.attrs.get("axis", -1) % rank, rank)),
    **dict.fromkeys(("ReduceMean", "ReduceSum", "ReduceMax"), _along(_reduced_axes)),
}
GATHERED: dict[str, Rule] = {
    **dict.fromkeys(UNARY, _same),
    **dict.fromkeys((*BINARY, "MatMul"), _on_rows),
    "LayerNormalization": lambda finder, node, late: 0 if node.inputs[0] is late.tensor and node.attrs.get("axis", -1) == -1 else None,
}
