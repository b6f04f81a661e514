"""Larger fragments of a random graph: what several passes match at once, with something in the way now and then."""

from __future__ import annotations

import numpy as np

from tests.variants.random_graphs import BATCH, Builder, Fragment, Shape, Step, Tensor


def between_transposes(b: Builder, x: Tensor, s: Step) -> Tensor:
    """Elementwise operators, a second tensor and a constant between two Transposes that undo each other."""
    order = [[*range(len(x.shape))][::-1], [0, *range(len(x.shape) - 1, 0, -1)]][s.a % 2]
    back = [int(place) for place in np.argsort(order)]
    h = b.op("Transpose", [x.name], perm=order)
    if s.b % 2:
        h = b.op("Sigmoid", [h])
    if s.b % 3 == 1:
        h = b.op("Add", [h, b.op("Transpose", [b.op("Tanh", [x.name])], perm=order)])
    if s.b % 3 == 2:
        size = x.shape[order[-1]]
        h = b.op("Mul", [h, b.constant(b.draw.normal(size=size if isinstance(size, int) else 1).astype(np.float32))])
    if s.c % 4 == 1:
        b.tensors.append(Tensor(h, tuple(x.shape[place] for place in order)))
    return Tensor(b.op("Transpose", [h], perm=back), x.shape)


def channels_last(b: Builder, x: Tensor, s: Step) -> Tensor | None:
    """A convolution, then a linear layer or an MLP behind a Transpose to channels last, and back."""
    if len(x.shape) != 4 or not isinstance(x.shape[1], int):
        return None
    channels = x.shape[1]
    h = b.op("Conv", [x.name, b.weight(channels, channels, 1, 1)], kernel_shape=[1, 1]) if s.a % 2 else x.name
    h = b.op("Transpose", [h], perm=[0, 2, 3, 1])
    h = b.op("Add", [b.op("MatMul", [h, b.weight(channels, 2 * channels)]), b.weight(2 * channels)])
    if s.b % 2:
        h = b.op("Tanh", [h])
    h = b.op("MatMul", [h, b.weight(2 * channels, channels)])
    return Tensor(b.op("Transpose", [h], perm=[0, 3, 1, 2]), x.shape)


def three_products(b: Builder, x: Tensor, s: Step) -> Tensor | None:
    """Two to four linear layers of one tensor, of one width or two, with biases, without, or some with."""
    width = x.shape[-1]
    if not isinstance(width, int) or len(x.shape) < 2:
        return None
    parts = []
    for part in range(2 + s.a % 3):
        h = b.op("MatMul", [x.name, b.weight(width, width)])
        with_bias = s.b % 3 == 0 or (s.b % 3 == 1 and part % 2)
        parts.append(b.op("Add", [h, b.weight(width)]) if with_bias else h)
    if s.c % 3 == 1:
        b.tensors.append(Tensor(parts[-1], x.shape))
    whole = parts[0]
    for one in parts[1:]:
        whole = b.op("Mul" if s.c % 2 else "Add", [whole, b.op("Tanh", [one])])
    return Tensor(whole, x.shape)


def swish(b: Builder, x: Tensor, s: Step) -> Tensor:
    gate = b.op("Sigmoid", [x.name])
    return Tensor(b.op("Mul", [x.name, gate] if s.a % 2 else [gate, x.name]), x.shape)


def block(b: Builder, x: Tensor, s: Step) -> Tensor | None:
    """Half of a transformer block: skip, LayerNorm, a linear layer, GELU, another, skip."""
    from tests.variants.random_fragments import gelu, layernorm

    width = x.shape[-1]
    normed = layernorm(b, x, s)
    if normed is None or not isinstance(width, int):
        return None
    wide = Tensor(b.op("Add", [b.weight(2 * width), b.op("MatMul", [normed.name, b.weight(width, 2 * width)])]), (*x.shape[:-1], 2 * width))
    h = b.op("Add", [b.op("MatMul", [gelu(b, wide, s).name, b.weight(2 * width, width)]), b.weight(width)])
    return Tensor(b.op("Add", [x.name, h] if s.c % 2 else [h, x.name]), x.shape)


def padded(b: Builder, x: Tensor, s: Step) -> Tensor | None:
    """torch's way to the amounts of a Pad: a matrix, its rows in reverse, turned and flat; pads the last axis by one or two."""
    if len(x.shape) < 2 or not isinstance(x.shape[-1], int):
        return None
    amounts = [1 + s.a % 2, s.b % 2] + [0] * (2 * len(x.shape) - 2)
    pairs = b.op("Reshape", [b.ints(*amounts), b.ints(-1, 2)])
    turned = b.op("Slice", [pairs, b.ints(-1), b.ints(-(2**63) + 1), b.ints(0), b.ints(-1)])
    flat = b.op("Reshape", [b.op("Transpose", [turned], perm=[1, 0]), b.ints(-1)])
    return Tensor(b.op("Pad", [x.name, b.op("Cast", [flat], to=7)]), (*x.shape[:-1], x.shape[-1] + amounts[0] + amounts[1]))


def grouped(b: Builder, x: Tensor, s: Step) -> Tensor | None:
    """A Reshape whose channels are -1 or computed in front of a convolution in groups."""
    if len(x.shape) != 4 or not isinstance(x.shape[1], int) or x.shape[1] % 2 or not all(isinstance(size, int) for size in x.shape[2:]):
        return None
    channels, rows, columns = (int(size) for size in x.shape[1:])
    if s.a % 2:
        count = b.op("Slice", [b.op("Shape", [x.name]), b.ints(0), b.ints(1), b.ints(0)])
        target = b.op("Concat", [count, b.ints(-1), b.ints(rows), b.ints(columns)], axis=0)
    else:
        target = b.ints(0, -1, rows, columns)
    h = b.op("Reshape", [x.name, target])
    out = b.op("Conv", [h, b.weight(channels, channels // 2, 1, 1)], kernel_shape=[1, 1], group=2)
    return Tensor(out, x.shape)


def masked_attention(b: Builder, x: Tensor, s: Step) -> Tensor | None:
    """Without projections, in three dimensions, its mask by Where or added, its keys transposed."""
    if len(x.shape) != 3 or x.shape[0] != BATCH or not isinstance(x.shape[2], int):
        return None
    scores = b.op("MatMul", [b.op("Mul", [x.name, b.constant(np.float32(0.5))]), b.op("Transpose", [x.name], perm=[0, 2, 1])])
    if s.a % 3 == 1:
        scores = b.op("Where", [b.op("Greater", [scores, b.constant(np.float32(3))]), b.constant(np.float32(-1e4)), scores])
    weights = b.op("Softmax", [scores], axis=-1 if s.b % 2 else 2)
    if s.c % 3 == 1:
        square: Shape = (x.shape[0], x.shape[1], x.shape[1])
        b.tensors.append(Tensor(weights, square))
    return Tensor(b.op("MatMul", [weights, x.name]), x.shape)


MOTIFS: tuple[Fragment, ...] = (
    *(between_transposes, channels_last, three_products, swish, block, padded, grouped, masked_attention),
    *(between_transposes, three_products, block),
)
