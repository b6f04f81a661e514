"""What a step of a random graph may add: fragments as exporters write them, in their variants, and single operators."""

from __future__ import annotations

from math import prod

import numpy as np
from onnx import TensorProto, helper

from tests.variants.random_graphs import BATCH, Builder, Fragment, Shape, Step, Tensor, as_float

UNARY = ("Relu", "Tanh", "Sigmoid", "Neg", "Abs", "Erf", "Identity", "Softplus")
BINARY = ("Add", "Mul", "Sub", "Div", "Max")


def unary(b: Builder, x: Tensor, s: Step) -> Tensor:
    return Tensor(b.op(UNARY[s.a % len(UNARY)], [x.name]), x.shape)


def with_constant(b: Builder, x: Tensor, s: Step) -> Tensor | None:
    """By a scalar, a vector of the last axis, or whatever broadcasts, on either side."""
    sizes = x.shape[1:]
    trailing = tuple(size for size in sizes if isinstance(size, int))
    if len(trailing) != len(sizes):
        trailing = trailing[-1:] if isinstance(sizes[-1], int) else ()
    shape = ((), trailing[-1:], trailing, (1,) * len(x.shape), (1,))[s.b % 5]
    constant = b.constant(b.draw.uniform(0.5, 2, size=shape).astype(np.float32))
    op = BINARY[s.a % len(BINARY)]
    turned = op == "Div" or s.c % 2 == 0
    return Tensor(b.op(op, [x.name, constant] if turned else [constant, x.name]), x.shape)


def of_two(b: Builder, x: Tensor, s: Step) -> Tensor | None:
    other = b.other(x, s.b)
    return Tensor(b.op(BINARY[s.a % 3], [x.name, other.name]), x.shape) if other else None


def product(b: Builder, x: Tensor, s: Step) -> Tensor | None:
    """A linear layer: product by a constant, with a bias on either side or none."""
    width = x.shape[-1]
    if not isinstance(width, int) or len(x.shape) < 2:
        return None
    out = (width, 4, 8, 6)[s.a % 4]
    h = b.op("MatMul", [x.name, b.weight(width, out)])
    if s.b % 3:
        bias = b.weight(out)
        h = b.op("Add", [h, bias] if s.b % 3 == 1 else [bias, h])
    return Tensor(h, (*x.shape[:-1], out))


def twice_the_weight(b: Builder, x: Tensor, s: Step) -> Tensor | None:
    """Two products by the same weight, one after the other."""
    width = x.shape[-1]
    if not isinstance(width, int) or len(x.shape) < 2:
        return None
    w = b.weight(width, width)
    return Tensor(b.op("MatMul", [b.op("MatMul", [x.name, w]), w]), x.shape)


def layernorm(b: Builder, x: Tensor, s: Step) -> Tensor | None:
    """Nine nodes in their variants; the operator from opset 17 on, now and then."""
    width = x.shape[-1]
    if not isinstance(width, int) or width < 2 or len(x.shape) < 2:
        return None
    scale, bias = b.weight(width), b.weight(width)
    if s.a % 3 == 2 and b.plan.opset >= 17:
        return Tensor(b.op("LayerNormalization", [x.name, scale, bias], axis=-1, epsilon=1e-5), x.shape)
    axis = -1 if s.b % 2 else len(x.shape) - 1
    mean = b.reduced("ReduceMean", x.name, [axis])
    centred = b.op("Sub", [x.name, mean])
    squared = b.op("Pow", [centred, b.constant(np.float32(2))]) if s.a % 2 else b.op("Mul", [centred, centred])
    shifted = b.op("Add", [b.reduced("ReduceMean", squared, [axis]), b.constant(np.float32(1e-5))])
    unit = b.op("Div", [centred, b.op("Sqrt", [shifted])])
    scaled = b.op("Mul", [unit, scale] if s.c % 2 else [scale, unit])
    return Tensor(b.op("Add", [scaled, bias] if s.c % 3 else [bias, scaled]), x.shape)


def skip_layernorm(b: Builder, x: Tensor, s: Step) -> Tensor | None:
    other = b.other(x, s.c)
    added = Tensor(b.op("Add", [x.name, other.name]), x.shape) if other else x
    return layernorm(b, added, s)


def gelu(b: Builder, x: Tensor, s: Step) -> Tensor:
    """By erf or tanh, its factors in several orders; the operator at opset 20, now and then."""
    half, one = b.constant(np.float32(0.5)), b.constant(np.float32(1))
    if s.a % 4 == 3 and b.plan.opset >= 20:
        return Tensor(b.op("Gelu", [x.name], approximate="tanh" if s.b % 2 else "none"), x.shape)
    if s.a % 2:
        cubed = b.op("Pow", [x.name, b.constant(np.float32(3))]) if s.b % 2 else b.op("Mul", [b.op("Mul", [x.name, x.name]), x.name])
        inner = b.op("Add", [x.name, b.op("Mul", [cubed, b.constant(np.float32(0.044715))])])
        curve = b.op("Tanh", [b.op("Mul", [inner, b.constant(np.float32(np.sqrt(2 / np.pi)))])])
    elif s.b % 2:
        curve = b.op("Erf", [b.op("Mul", [x.name, b.constant(np.float32(2**-0.5))])])
    else:
        curve = b.op("Erf", [b.op("Div", [x.name, b.constant(np.float32(2**0.5))])])
    lifted = b.op("Add", [curve, one])
    if s.c % 3 == 0:
        return Tensor(b.op("Mul", [b.op("Mul", [x.name, lifted]), half]), x.shape)
    if s.c % 3 == 1:
        return Tensor(b.op("Mul", [b.op("Mul", [half, x.name]), lifted]), x.shape)
    return Tensor(b.op("Mul", [x.name, b.op("Mul", [lifted, half])]), x.shape)


def attention(b: Builder, x: Tensor, s: Step) -> Tensor | None:
    """Self-attention over [batch, sequence, width]: projections, heads, scale, mask or none, and back."""
    if len(x.shape) != 3 or x.shape[-1] != 8 or x.shape[0] != BATCH:
        return None
    heads = 2 if s.a % 2 else 4
    split = b.ints(0, -1, heads, 8 // heads) if s.b % 2 else b.ints(0, 0, heads, 8 // heads)

    def projected(last: tuple[int, ...]) -> str:
        h = b.op("MatMul", [x.name, b.weight(8, 8)])
        h = b.op("Add", [b.weight(8), h]) if s.c % 2 else h
        return b.op("Transpose", [b.op("Reshape", [h, split])], perm=list(last))

    query, value = projected((0, 2, 1, 3)), projected((0, 2, 1, 3))
    key = projected((0, 2, 3, 1)) if s.a % 3 else b.op("Transpose", [projected((0, 2, 1, 3))], perm=[0, 1, 3, 2])
    scores = b.op("MatMul", [query, key])
    scale = np.float32((8 // heads) ** 0.5)
    scores = b.op("Div", [scores, b.constant(scale)]) if s.b % 3 else b.op("Mul", [scores, b.constant(1 / scale)])
    if s.c % 3 == 1:
        scores = b.op("Add", [scores, b.constant(np.full((1, 1, 1, 1), 0.5, np.float32))])
    mixed = b.op("MatMul", [b.op("Softmax", [scores], axis=-1), value])
    back = b.op("Reshape", [b.op("Transpose", [mixed], perm=[0, 2, 1, 3]), b.ints(0, -1, 8) if s.b % 2 else b.ints(0, 0, 8)])
    return Tensor(b.op("MatMul", [back, b.weight(8, 8)]), x.shape)


def softmax(b: Builder, x: Tensor, s: Step) -> Tensor:
    return Tensor(b.op("Softmax", [x.name], axis=(-1, len(x.shape) - 1, 1)[s.a % 3]), x.shape)


def conv(b: Builder, x: Tensor, s: Step) -> Tensor | None:
    if len(x.shape) != 4 or not isinstance(x.shape[1], int):
        return None
    channels, out = x.shape[1], (4, 8, 3)[s.a % 3]
    kernel = 3 if s.b % 2 else 1
    inputs = [x.name, b.weight(out, channels, kernel, kernel), *([b.weight(out)] if s.c % 2 else [])]
    return Tensor(b.op("Conv", inputs, kernel_shape=[kernel] * 2, pads=[kernel // 2] * 4), (x.shape[0], out, *x.shape[2:]))


def mask(b: Builder, x: Tensor, s: Step) -> Tensor:
    """Where by a comparison, the mask turned or moved on the way."""
    nought = b.constant(np.float32(0))
    found = b.op("Greater", [x.name, b.constant(np.float32(0.2))])
    if s.a % 3 == 1:
        found = b.op("Not", [found])
    if s.a % 3 == 2:
        found = b.op("Expand", [b.op("Gather", [found, b.ints(0)], axis=len(x.shape) - 1), b.op("Shape", [x.name])])
    if s.b % 3 == 1:
        return Tensor(b.op("Mul", [x.name, as_float(b, found)]), x.shape)
    return Tensor(b.op("Where", [found, x.name, nought] if s.b % 3 else [found, nought, x.name]), x.shape)


def halves(b: Builder, x: Tensor, s: Step) -> Tensor:
    """A detour in float16, with a constant of its own; in float64 or through integers now and then."""
    to = (TensorProto.FLOAT16, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.INT32)[s.a % 4]
    dtype = helper.tensor_dtype_to_np_dtype(to)
    narrow = b.op("Cast", [x.name], to=to)
    width = x.shape[-1]
    if s.b % 3 == 1 and isinstance(width, int) and to == TensorProto.FLOAT16 and len(x.shape) > 1:
        weight = b.constant((b.draw.integers(-2, 3, size=(width, width)) / 4).astype(np.float16))
        return Tensor(as_float(b, b.op("MatMul", [narrow, weight])), x.shape)
    held = b.constant(np.asarray([1, 2, 3, 4][s.c % 4], dtype))
    return Tensor(as_float(b, b.op(("Add", "Mul")[s.b % 2], [narrow, held])), x.shape)


def branch(b: Builder, x: Tensor, s: Step) -> Tensor:
    """An If whose branches read what is outside: the tensor, another, and a weight that the graph outside reads too."""
    weight = b.constant(np.linspace(0.5, 1.5, 3 if s.c % 2 else 1, dtype=np.float32)[:1])
    outside = b.op("Mul", [x.name, weight])
    total = b.op("ReduceSum", [outside], keepdims=0)
    positive = b.op("Greater", [total, b.constant(np.float32(0))])
    bodies = []
    for kind, name in (("Exp", "then"), ("Neg", "else")):
        start, out = b.name(name), b.name(name)
        nodes = [helper.make_node("Mul", [outside, weight], [start], f"/{start}")]
        nodes.append(helper.make_node("Sigmoid" if kind == "Exp" else kind, [start], [out], f"/{out}"))
        if s.a % 3 == 1:
            nodes.append(helper.make_node("Transpose", [out], [f"{out}.t"], f"/{out}.t", perm=[*range(len(x.shape))][::-1]))
            nodes.append(helper.make_node("Transpose", [f"{out}.t"], [f"{out}.b"], f"/{out}.b", perm=[*range(len(x.shape))][::-1]))
            out = f"{out}.b"
        bodies.append(helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(out, TensorProto.FLOAT, list(x.shape))]))
    return Tensor(b.op("If", [positive], then_branch=bodies[0], else_branch=bodies[1]), x.shape)


def loop(b: Builder, x: Tensor, s: Step) -> Tensor:
    """Two rounds of adding what is outside."""
    outside = b.op("Tanh", [x.name])
    names = {key: b.name(key) for key in ("i", "going", "state", "still", "sum")}
    nodes = [
        helper.make_node("Identity", [names["going"]], [names["still"]], "/still"),
        helper.make_node("Add", [names["state"], outside], [names["sum"]], "/sum"),
    ]
    shape = list(x.shape)
    inputs = [
        helper.make_tensor_value_info(names["i"], TensorProto.INT64, []),
        helper.make_tensor_value_info(names["going"], TensorProto.BOOL, []),
        helper.make_tensor_value_info(names["state"], TensorProto.FLOAT, shape),
    ]
    outputs = [
        helper.make_tensor_value_info(names["still"], TensorProto.BOOL, []),
        helper.make_tensor_value_info(names["sum"], TensorProto.FLOAT, shape),
    ]
    body = helper.make_graph(nodes, "body", inputs, outputs)
    start = [b.constant(np.int64(1 + s.a % 2)), b.constant(np.bool_(True)), x.name]
    return Tensor(b.op("Loop", start, body=body), x.shape)


def dead_end(b: Builder, x: Tensor, s: Step) -> Tensor:
    """What nobody reads beside what goes on, written twice."""
    b.op("Exp", [x.name])
    return Tensor(b.op("Add", [b.op("Tanh", [x.name]), b.op("Tanh", [x.name])]), x.shape)


def folded(b: Builder, x: Tensor, s: Step) -> Tensor | None:
    """A product by a weight that is itself computed from constants."""
    width = x.shape[-1]
    if not isinstance(width, int) or len(x.shape) < 2:
        return None
    weight = b.op("Transpose", [b.weight(width, width)], perm=[1, 0])
    if s.a % 2:
        weight = b.op("Mul", [weight, b.constant(np.float32(0.5))])
    return Tensor(b.op("MatMul", [x.name, weight]), x.shape)


def pooled(b: Builder, x: Tensor, s: Step) -> Tensor | None:
    """A mean over one axis but the first, kept or not."""
    if len(x.shape) < 3:
        return None
    axis = 1 + s.a % (len(x.shape) - 1)
    kept: Shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    if s.b % 2 or prod(size for size in x.shape[1:] if isinstance(size, int)) < 4:
        return Tensor(b.reduced("ReduceMean", x.name, [axis]), kept)
    return Tensor(b.reduced("ReduceMean", x.name, [axis], 0), (*x.shape[:axis], *x.shape[axis + 1 :]))


def integers(b: Builder, x: Tensor, s: Step) -> Tensor | None:
    """Indices in int64 that are computed with, then pick rows of a table or are added as they are."""
    if len(x.shape) < 2 or not isinstance(x.shape[-1], int):
        return None
    best = b.op("ArgMax", [x.name], axis=-1, keepdims=1)
    index = b.op("Mod", [b.op("Add", [b.op("Mul", [best, b.ints(1 + s.b % 3)]), b.ints(s.c)]), b.ints(5)])
    if s.a % 2:
        return Tensor(b.op("Add", [x.name, as_float(b, index)]), x.shape)
    rows = b.op("Gather", [b.weight(5, x.shape[-1]), b.op("Squeeze", [index, b.ints(-1)])])
    return Tensor(b.op("Add", [x.name, rows]), x.shape)


def _fragments() -> tuple[Fragment, ...]:
    from tests.variants.random_motifs import MOTIFS
    from tests.variants.random_moves import MOVES

    plain: tuple[Fragment, ...] = (unary, with_constant, product, layernorm, gelu, attention, softmax, of_two, skip_layernorm, folded)
    rare: tuple[Fragment, ...] = (conv, mask, halves, branch, loop, dead_end, pooled, twice_the_weight, integers)
    return (*plain, *MOVES, *MOTIFS, *rare)


FRAGMENTS = _fragments()
