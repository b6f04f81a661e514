"""Graphs with work that can be done ahead: tables whose rows are picked at run time, shape arithmetic, sizes off alignment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from tests.variants.graphs import WIDTH, model, node, value
from variants.variant import Array

ROWS = 16
TIME = ("batch", "time", WIDTH)
OPSET = 13


def random(*shape: int, seed: int = 0, dtype: Any = np.float32) -> Array:
    """Normal values."""
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def ints(*numbers: int) -> Array:
    """int64 [n]."""
    return np.array(numbers, np.int64)


TIME_OF_X = (node("Shape", "x", "sizes"), node("Slice", "sizes one two nought", "length"))
"""length, int64 [1], is the second dimension of x."""
POSITIONS = (*TIME_OF_X, node("Slice", "table nought length one", "rows"))
"""rows [1, time, 8] are the first ones of table."""
NUMBERS: dict[str, Any] = {"nought": ints(0), "one": ints(1), "two": ints(2)}


def positions(*more: onnx.NodeProto, opset: int = OPSET, **constants: Any) -> onnx.ModelProto:
    """x [batch, time, 8] -> y, by way of rows [1, time, 8] of a table of 16, of which `more` makes y."""
    held = NUMBERS | {"table": random(1, ROWS, WIDTH)} | constants
    return model([*POSITIONS, *more], held, [value("x", TIME)], [value("y", TIME)], opset)


def projected() -> onnx.ModelProto:
    """y = x + linear(rows): the ASR encoder's position table."""
    made = [node("MatMul", "rows w", "h"), node("Add", "h b", "p"), node("Add", "x p", "y")]
    return positions(*made, w=random(WIDTH, WIDTH), b=random(WIDTH))


def heads() -> onnx.ModelProto:
    """y = softmax(x x^T) with a key of positions that is projected, parted into heads and transposed, as attention does."""
    split = [node("Concat", "one minus count size", "target", axis=0), node("Reshape", "h target", "parted")]
    moved = [node("Transpose", "parted", "swapped", perm=[0, 2, 1, 3]), node("Transpose", "swapped", "keys", perm=[0, 1, 3, 2])]
    query = [node("Reshape", "x query_shape", "q4"), node("Transpose", "q4", "q", perm=[0, 2, 1, 3])]
    ends = [node("MatMul", "q keys", "scores"), node("Softmax", "scores", "weights", axis=-1), node("MatMul", "weights q", "mixed")]
    back = [node("Transpose", "mixed", "mixed4", perm=[0, 2, 1, 3]), node("Reshape", "mixed4 back_shape", "y")]
    held: dict[str, Any] = {"minus": ints(-1), "count": ints(2), "size": ints(4)}
    held |= {"query_shape": ints(0, 0, 2, 4), "back_shape": ints(0, 0, WIDTH)}
    return positions(node("MatMul", "rows w", "h"), *split, *moved, *query, *ends, *back, w=random(WIDTH, WIDTH), **held)


def embedded(*more: onnx.NodeProto, **constants: Any) -> onnx.ModelProto:
    """x -> y = x + the rows of a table that the integers of x pick, after `more` made `h` of them."""
    made = [
        node("ReduceMax", "x", "top", axes=[-1], keepdims=0),
        node("Cast", "top", "ids", to=TensorProto.INT64),
        node("Clip", "ids least most", "places"),
        node("Gather", "table places", "rows"),
        *more,
        node("Add", "x h", "y"),
    ]
    held = {"least": np.int64(0), "most": np.int64(ROWS - 1), "table": random(ROWS, WIDTH)} | constants
    return model(made, held, [value("x", TIME)], [value("y", TIME)], OPSET)


def reshaped() -> onnx.ModelProto:
    """y = x through heads and back, all sizes computed from x as torch writes it."""
    nodes = [
        node("Shape", "x", "sizes"),
        node("Gather", "sizes first", "batch_", axis=0),
        node("Gather", "sizes second", "time_", axis=0),
        node("Unsqueeze", "batch_ nought", "b1"),
        node("Unsqueeze", "time_ nought", "t1"),
        node("Concat", "b1 t1 count size", "target", axis=0),
        node("Reshape", "x target", "parted"),
        node("Concat", "b1 t1 width", "back", axis=0),
        node("Range", "zero time_ single", "places"),
        node("Cast", "places", "floats", to=TensorProto.FLOAT),
        node("Unsqueeze", "floats one", "column"),
        node("Reshape", "parted back", "h"),
        node("Add", "h column", "y"),
    ]
    scalars = {"first": np.int64(0), "second": np.int64(1), "zero": np.int64(0), "single": np.int64(1)}
    held = NUMBERS | scalars | {"count": ints(2), "size": ints(4), "width": ints(WIDTH)}
    return model(nodes, held, [value("x", TIME)], [value("y", TIME)], OPSET)


def products(widths: Sequence[int], *, activation: str = "Relu", last: int = WIDTH, bias: bool = True) -> onnx.ModelProto:
    """x [batch, 4, 8] through a product for each of `widths`, each with a bias and an activation, and a last one to `last`."""
    nodes: list[onnx.NodeProto] = []
    held: dict[str, Any] = {}
    source, before = "x", WIDTH
    for place, width in enumerate((*widths, last)):
        held |= {f"w{place}": random(before, width, seed=place)} | ({f"b{place}": random(width, seed=place)} if bias else {})
        nodes.append(node("MatMul", f"{source} w{place}", f"h{place}"))
        source, before = f"h{place}", width
        if bias:
            nodes.append(node("Add", f"h{place} b{place}", f"s{place}"))
            source = f"s{place}"
        if place < len(widths):
            nodes.append(node(activation, source, f"a{place}"))
            source = f"a{place}"
    return model([*nodes, node("Identity", source, "y")], held, outputs=[value("y", ("batch", 4, last))])


def convolutions(channels: Sequence[int]) -> onnx.ModelProto:
    """x [batch, 8, 5, 5] through a 3x3 convolution and a Relu for each of `channels`, and a last one of 1x1 to 8."""
    nodes: list[onnx.NodeProto] = []
    held: dict[str, Any] = {}
    source, before = "x", WIDTH
    for place, count in enumerate(channels):
        held |= {f"w{place}": random(count, before, 3, 3), f"b{place}": random(count)}
        nodes += [node("Conv", f"{source} w{place} b{place}", f"h{place}", pads=[1, 1, 1, 1]), node("Relu", f"h{place}", f"a{place}")]
        source, before = f"a{place}", count
    shape = ("batch", WIDTH, 5, 5)
    held["w"] = random(WIDTH, before, 1, 1)
    return model([*nodes, node("Conv", f"{source} w", "y")], held, [value("x", shape)], [value("y", shape)])


def graphs() -> dict[str, onnx.ModelProto]:
    """Valid at any size of their free dimensions up to 16."""
    fixed = [node("MatMul", "rows w", "h")]
    return {
        "a projected position table": projected(),
        "a position table parted into heads": heads(),
        "a projected embedding": embedded(*fixed, w=random(WIDTH, WIDTH)),
        "sizes computed from the input": reshaped(),
        "products of odd width": products([5, 20]),
        "convolutions of odd width": convolutions([5, 12]),
    }
