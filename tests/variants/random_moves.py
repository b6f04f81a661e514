"""Fragments of a random graph that only move elements: transposes, reshapes, slices and the arithmetic on shapes around them."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from tests.variants.random_graphs import BATCH, Builder, Dim, Fragment, Shape, Step, Tensor


def transpose(b: Builder, x: Tensor, s: Step) -> Tensor:
    """One, or two that undo each other in part or in whole; the batch may move too."""
    orders = list(permutations(range(len(x.shape))))
    first, second = orders[(s.a * 5 + s.b) % len(orders)], orders[(s.c * 7) % len(orders)]
    h, shape = b.op("Transpose", [x.name], perm=list(first)), _moved(x.shape, first)
    if s.a % 3 == 0:
        return Tensor(h, shape)
    if s.a % 3 == 1:
        second = tuple(int(place) for place in np.argsort(first))
    if s.b % 4 == 3:
        h = b.op("Sigmoid", [h])
    return Tensor(b.op("Transpose", [h], perm=list(second)), _moved(shape, second))


def _moved(shape: Shape, order: tuple[int, ...]) -> Shape:
    return tuple(shape[place] for place in order)


def split_last(b: Builder, x: Tensor, s: Step) -> Tensor | None:
    """[..., 8] -> [..., 2, 4], its target constant with zeros or one -1, or computed."""
    width = x.shape[-1]
    if not isinstance(width, int) or width % 2 or width < 4 or len(x.shape) > 4:
        return None
    parts = (2, width // 2) if s.a % 2 else (width // 2, 2)
    lead = [0] * (len(x.shape) - 1)
    if s.b % 3 == 0:
        return Tensor(b.op("Reshape", [x.name, b.ints(*lead, *parts)]), (*x.shape[:-1], *parts))
    if s.b % 3 == 1:
        return Tensor(b.op("Reshape", [x.name, b.ints(*lead, -1, parts[1])]), (*x.shape[:-1], *parts))
    sizes = _sizes(b, x, len(x.shape) - 1, s)
    target = b.op("Concat", [*sizes, b.ints(*parts)], axis=0)
    return Tensor(b.op("Reshape", [x.name, target]), (*x.shape[:-1], *parts))


def join_last(b: Builder, x: Tensor, s: Step) -> Tensor | None:
    """[..., 2, 4] -> [..., 8]."""
    if len(x.shape) < 3 or not all(isinstance(size, int) for size in x.shape[-2:]):
        return None
    joined = int(x.shape[-2]) * int(x.shape[-1])
    shape: Shape = (*x.shape[:-2], joined)
    if s.a % 3 == 0:
        return Tensor(b.op("Reshape", [x.name, b.ints(*[0] * (len(shape) - 1), -1)]), shape)
    if s.a % 3 == 1 or len(x.shape) > 3:
        return Tensor(b.op("Reshape", [x.name, b.op("Concat", [*_sizes(b, x, len(shape) - 1, s), b.ints(joined)], axis=0)]), shape)
    return Tensor(b.op("Flatten", [x.name], axis=1), shape)


def _sizes(b: Builder, x: Tensor, count: int, s: Step) -> list[str]:
    """The first `count` sizes of x, int64 [1] each, by Slice or by Gather and Unsqueeze, some arithmetic on the way."""
    shape, found = b.op("Shape", [x.name]), []
    for axis in range(count):
        if s.c % 3 == 0:
            size = b.op("Slice", [shape, b.ints(axis), b.ints(axis + 1), b.ints(0)])
        else:
            size = b.op("Unsqueeze", [b.op("Gather", [shape, b.constant(np.int64(axis))], axis=0), b.ints(0)])
        if s.c % 3 == 2:
            size = b.op("Div", [b.op("Mul", [size, b.ints(2)]), b.ints(2)])
        found.append(size)
    return found


def cut(b: Builder, x: Tensor, s: Step) -> Tensor | None:
    """One Slice, or one of what is left; ends may be far outside, from behind, or by steps."""
    axes = [axis for axis, size in enumerate(x.shape) if isinstance(size, int) and size >= 2]
    if not axes:
        return None
    axis = axes[s.a % len(axes)]
    size = int(x.shape[axis])
    start, end, step = ((0, size - 1, 1), (1, 2**63 - 1, 1), (-2, 2**31 - 1, 1), (0, size, 2), (-1, -(2**31), -1), (0, 2**63 - 1, 1))[
        s.b % 6
    ]
    left = len(range(size)[slice(start, end, step)])
    named = axis - len(x.shape) if s.c % 2 else axis
    h = b.op("Slice", [x.name, b.ints(start), b.ints(end), b.ints(named), b.ints(step)])
    shape: Shape = (*x.shape[:axis], left, *x.shape[axis + 1 :])
    if s.c % 3 != 1 or left < 2:
        return Tensor(h, shape)
    h = b.op("Slice", [h, b.ints(1), b.ints(left), b.ints(axis)])
    return Tensor(h, (*x.shape[:axis], left - 1, *x.shape[axis + 1 :]))


def thirds(b: Builder, x: Tensor, s: Step) -> Tensor | None:
    """One product for three, cut into pieces that meet again, by Split or by Slices."""
    width = x.shape[-1]
    if not isinstance(width, int) or len(x.shape) < 2:
        return None
    wide = b.op("MatMul", [x.name, b.weight(width, 3 * width)])
    axis = len(x.shape) - 1
    if s.a % 2:
        q = b.op("Split", [wide, b.ints(width, width, width)], outputs=3, axis=axis if s.b % 2 else -1)
        k, v = f"{q}.1", f"{q}.2"
    else:
        starts = [b.ints(width * part) for part in range(4)]
        q, k, v = (b.op("Slice", [wide, starts[part], starts[part + 1], b.ints(axis)]) for part in range(3))
    mixed = b.op("Mul", [q, b.op("Tanh", [k])])
    return Tensor(b.op("Add", [mixed, v]) if s.c % 2 else mixed, x.shape)


def ones(b: Builder, x: Tensor, s: Step) -> Tensor | None:
    """Unsqueeze, and Squeeze of the same or another axis."""
    if len(x.shape) > 4:
        return None
    axis = s.a % (len(x.shape) + 1)
    shape: Shape = (*x.shape[:axis], 1, *x.shape[axis:])
    h = b.op("Unsqueeze", [x.name, b.ints(axis - len(shape) if s.b % 2 else axis)])
    if s.c % 3 == 0:
        return Tensor(h, shape)
    if s.c % 3 == 1:
        h = b.op("Relu", [h])
    return Tensor(b.op("Squeeze", [h, b.ints(axis)]), x.shape)


def squeeze(b: Builder, x: Tensor, s: Step) -> Tensor | None:
    alone = [axis for axis, size in enumerate(x.shape) if size == 1]
    if not alone or len(x.shape) < 3:
        return None
    axis = alone[s.a % len(alone)]
    return Tensor(b.op("Squeeze", [x.name, b.ints(axis)]), (*x.shape[:axis], *x.shape[axis + 1 :]))


def positions(b: Builder, x: Tensor, s: Step) -> Tensor | None:
    """The first rows of a table, as many as x is long, perhaps projected, added to x [batch, length, width]."""
    if len(x.shape) != 3 or x.shape[0] != BATCH or not isinstance(x.shape[-1], int) or (isinstance(x.shape[1], int) and x.shape[1] > 16):
        return None
    width = x.shape[-1]
    table = b.constant(b.draw.normal(size=(1, 16, width)).astype(np.float32))
    length = b.op("Slice", [b.op("Shape", [x.name]), b.ints(1), b.ints(2), b.ints(0)])
    rows = b.op("Slice", [table, b.ints(0), length, b.ints(1)])
    if s.a % 2:
        rows = b.op("MatMul", [rows, b.weight(width, width)])
    if s.b % 2:
        rows = b.op("Add", [rows, b.weight(width)])
    return Tensor(b.op("Add", [x.name, rows]), x.shape)


def gathered(b: Builder, x: Tensor, s: Step) -> Tensor | None:
    """Rows in another order, or one row."""
    axes = [axis for axis, size in enumerate(x.shape) if isinstance(size, int) and axis]
    if not axes or len(x.shape) < 3:
        return None
    axis = axes[s.a % len(axes)]
    size = int(x.shape[axis])
    if s.b % 2:
        one = b.op("Gather", [x.name, b.constant(np.int64(s.c % size))], axis=axis)
        return Tensor(one, (*x.shape[:axis], *x.shape[axis + 1 :]))
    order = [(place * 2 + s.c) % size for place in range(size)]
    return Tensor(b.op("Gather", [x.name, b.ints(*order)], axis=axis - len(x.shape)), x.shape)


def joined(b: Builder, x: Tensor, s: Step) -> Tensor | None:
    axis = len(x.shape) - 1 if s.a % 2 else 1
    size = x.shape[axis] if len(x.shape) > 1 else BATCH
    other = b.other(x, s.b) or x
    if not isinstance(size, int) or size > 8:
        return None
    whole: tuple[Dim, ...] = (*x.shape[:axis], 2 * size, *x.shape[axis + 1 :])
    return Tensor(b.op("Concat", [x.name, other.name], axis=axis - len(x.shape) if s.c % 2 else axis), whole)


MOVES: tuple[Fragment, ...] = (transpose, split_last, join_last, cut, thirds, ones, squeeze, positions, gathered, joined, transpose, cut)
