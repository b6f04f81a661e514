"""The graphs at which TensorRT stopped the write-ups, as small as they can be; x is float32 with named free dimensions."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from tests.variants.graphs import model, node, value

FREE = ("batch", "frames")


def ints(*values: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.array(values, np.int64)


def sliced_mask(steps: int = 2) -> onnx.ModelProto:
    """WeNet's mask: Not of a comparison, every second frame of it, twice; what it hides becomes 0 in as many frames of x."""
    nodes = [node("Greater", "x one", "padding"), node("Not", "padding", "mask_0")]
    for step in range(steps):
        nodes.append(node("Slice", f"mask_{step} begin end axis two", f"mask_{step + 1}"))
    nodes += [node("Slice", f"x_{step} begin end axis two".replace("x_0", "x"), f"x_{step + 1}") for step in range(steps)]
    nodes.append(node("Where", f"mask_{steps} x_{steps} nought", "y"))
    held = {"one": np.float32(0.2), "nought": np.float32(0), "begin": ints(0), "end": ints(2**31 - 1), "axis": ints(1), "two": ints(2)}
    return model(nodes, held, [value("x", FREE)], [value("y", ("batch", "kept"))])


def widened_mask() -> onnx.ModelProto:
    """Expand, Tile and Gather of a bool tensor: what attention masks are made with."""
    nodes = [
        node("Greater", "x nought", "positive"),
        node("Gather", "positive first", "column", axis=1),
        node("Shape", "x", "shape"),
        node("Expand", "column shape", "spread"),
        node("Tile", "spread once", "tiled"),
        node("And", "tiled positive", "both"),
        node("Cast", "both", "y", to=TensorProto.FLOAT),
    ]
    held = {"nought": np.float32(0), "first": ints(0), "once": ints(1, 1)}
    return model(nodes, held, [value("x", FREE)], [value("y", FREE)])


def amounts() -> list[onnx.NodeProto]:
    """p, int64 [4]: what x [batch, frames] lacks to multiples of 8, as torch's pad writes it, last dimension first."""
    return [
        node("Shape", "x", "shape"),
        node("Mod", "shape eight", "over"),
        node("Sub", "eight over", "lack"),
        node("Mod", "lack eight", "missing"),
        node("Slice", "missing one two first", "of_frames"),
        node("Slice", "missing nothing one first", "of_batch"),
        node("Concat", "nothing of_frames nothing of_batch", "p", axis=0),
    ]


AMOUNTS = {"eight": ints(8), "one": ints(1), "two": ints(2), "first": ints(0), "nothing": ints(0), "back": ints(-1)}
MATRIX = {"pairs": ints(-1, 2), "flat": ints(-1), "before": ints(-(2**63) + 1)}


TURN = (
    node("Slice", "matrix back before first back", "reversed"),
    node("Transpose", "reversed", "turned", perm=[1, 0]),
    node("Reshape", "turned flat", "pads"),
)
LIMIT = (
    *TURN[:2],
    node("Greater", "turned nothing", "any"),
    node("Where", "any turned nothing", "chosen"),
    node("Reshape", "chosen flat", "pads"),
)
"""As TURN, with what is negative replaced by 0 while it is a matrix."""


def padded(*turn: onnx.NodeProto, **constants: object) -> onnx.ModelProto:
    """The exporter's way from p to Pad: [-1, 2], rows in reverse, transposed, flat; or another way from "matrix" to "pads"."""
    nodes = [*amounts(), node("Reshape", "p pairs", "matrix"), *(turn or TURN), node("Pad", "x pads", "y")]
    return model(nodes, AMOUNTS | MATRIX | constants, [value("x", FREE)], [value("y", ("rows", "columns"))])


def grouped(channels: int | str = -1, height: str = "height") -> onnx.ModelProto:
    """Two maps joined group by group into one of 8 channels, written as -1, and a convolution in two groups (TensorRT issue 3720)."""
    shapes = [node("Shape", "x", "shape"), node("Slice", "shape nothing one first", "n"), node("Slice", "shape two four first", "hw")]
    sizes = [node("Slice", "hw nothing one first", "h"), node("Slice", "hw one two first", "w")]
    join = [
        node("Concat", "n pair left h w", "split", axis=0),
        node("Reshape", "x split", "groups"),
        node("Relu", "groups", "others"),
        node("Concat", "groups others", "joined", axis=2),
        node("Concat", "n channels h w", "target", axis=0),
        node("Reshape", "joined target", "maps"),
        node("Conv", "maps weight", "y", group=2, pads=[1, 1, 1, 1]),
    ]
    weight = np.random.default_rng(0).normal(size=(4, 4, 3, 3)).astype(np.float32)
    held = AMOUNTS | {"four": ints(4), "pair": ints(2), "left": ints(-1), "channels": ints(int(channels)), "weight": weight}
    return model([*shapes, *sizes, *join], held, [value("x", ("batch", 4, height, "width"))], [value("y", ("batch", 4, height, "width"))])


def attention(fixed: bool = False) -> onnx.ModelProto:
    """Batch and frames both dynamic in one region that Myelin fuses; or neither."""
    shape = (2, 64, 16) if fixed else ("batch", "frames", 16)
    nodes = [
        node("Transpose", "x", "keys", perm=[0, 2, 1]),
        node("MatMul", "x keys", "scores"),
        node("Softmax", "scores", "weights", axis=-1),
        node("MatMul", "weights x", "y"),
    ]
    return model(nodes, {}, [value("x", shape)], [value("y", shape)])
