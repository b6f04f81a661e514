"""Graphs about layout: chains of moves, products between Transposes, and what must stop a rewrite of them."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from tests.variants.graphs import WIDTH, branch, loop, model, node, value
from variants.variant import Array

FREE = ("batch", "rows", WIDTH)
"""Two free dimensions."""
IMAGE = ("batch", WIDTH, "height", "width")


def weights(rows: int = WIDTH, columns: int = WIDTH, seed: int = 3) -> Array:
    """Normal, scaled so that products keep their size."""
    drawn: Array = np.random.default_rng(seed).normal(size=(rows, columns)) / np.sqrt(rows)
    return drawn.astype(np.float32)


def mlp(source: str = "x", output: str = "y") -> list[onnx.NodeProto]:
    """Two products with a Sigmoid gate between, all over the last axis; takes `mlp_weights`."""
    return [
        node("MatMul", f"{source} w1", "p1"),
        node("Add", "b1 p1", "h1"),
        node("Sigmoid", "h1", "gate"),
        node("Mul", "h1 gate", "a1"),
        node("MatMul", "a1 w2", "p2"),
        node("Add", "p2 b2", output),
    ]


def mlp_weights() -> dict[str, Array]:
    """From 8 to 12 and back."""
    return {"w1": weights(WIDTH, 12), "b1": weights(1, 12)[0], "w2": weights(12, WIDTH), "b2": weights(1)[0]}


def mlp_between_transposes() -> onnx.ModelProto:
    """An image to channels last, an MLP over the channels, and back."""
    nodes = [
        node("Transpose", "x", "last", perm=[0, 2, 3, 1]),
        *mlp("last", "out"),
        node("Transpose", "out", "y", perm=[0, 3, 1, 2]),
    ]
    return model(nodes, mlp_weights(), [value("x", IMAGE)], [value("y", IMAGE)])


def encoder() -> onnx.ModelProto:
    """A residual MLP over [batch, rows, 8], two free dimensions, then heads by a computed target."""
    held = {"one": np.array([0]), "minus": np.array([-1]), "heads": np.array([2]), "each": np.array([4]), "zero": np.int64(0)}
    nodes = [
        *mlp("x", "m"),
        node("Add", "x m", "r"),
        node("Softmax", "r", "s", axis=-1),
        node("MatMul", "s w3", "q"),
        node("Shape", "q", "shape"),
        node("Gather", "shape zero", "count", axis=0),
        node("Unsqueeze", "count one", "counts"),
        node("Concat", "counts minus heads each", "target", axis=0),
        node("Reshape", "q target", "y"),
        node("Exp", "r", "z"),
    ]
    outputs = [value("y", ("batch", "rows", 2, 4)), value("z", FREE)]
    return model(nodes, mlp_weights() | {"w3": weights(seed=5)} | held, [value("x", FREE)], outputs)


def sliding_mask() -> onnx.ModelProto:
    """A mask on channels first around an elementwise gate, as in a Conformer's convolution module."""
    nodes = [
        node("Transpose", "x", "first", perm=[0, 2, 1]),
        node("Greater", "m nought", "mask"),
        node("Unsqueeze", "mask axis", "wide"),
        node("Where", "wide first nought", "kept"),
        node("Sigmoid", "kept", "gate"),
        node("Mul", "kept gate", "gated"),
        node("Mul", "gated scale", "scaled"),
        node("Transpose", "scaled", "y", perm=[0, 2, 1]),
    ]
    held = {"nought": np.float32(0), "axis": np.array([1]), "scale": weights(1).reshape(1, WIDTH, 1)}
    return model(nodes, held, [value("x", FREE), value("m", ("batch", "rows"))], [value("y", FREE)])


def two_biases() -> onnx.ModelProto:
    """Two Adds of one tensor, each transposed by itself, as in attention with relative positions."""
    nodes = [
        node("Reshape", "x heads", "h"),
        node("Add", "h u", "hu"),
        node("Add", "h v", "hv"),
        node("Transpose", "hu", "y", perm=[0, 2, 1, 3]),
        node("Transpose", "hv", "z", perm=[0, 2, 1, 3]),
    ]
    out = ("batch", 2, "rows", 4)
    held = {"heads": np.array([0, -1, 2, 4]), "u": weights(2, 4), "v": weights(2, 4, 7)}
    return model(nodes, held, [value("x", FREE)], [value("y", out), value("z", out)])


def squeezed_and_back() -> onnx.ModelProto:
    """A column cut out, squeezed, changed and unsqueezed again."""
    nodes = [
        node("Split", "x sizes", "a b", axis=-1),
        node("Squeeze", "a last", "s"),
        node("Mul", "s two", "t"),
        node("Unsqueeze", "t last", "u"),
        node("Concat", "u b", "y", axis=-1),
    ]
    return model(nodes, {"sizes": np.array([1, WIDTH - 1]), "last": np.array([-1]), "two": np.float32(2)})


def chain_of_reshapes() -> onnx.ModelProto:
    """Unsqueeze, Reshape, Flatten and back to where it was."""
    nodes = [
        node("Unsqueeze", "x middle", "a"),
        node("Reshape", "a wide", "b"),
        node("Flatten", "b", "c", axis=1),
        node("Reshape", "c back", "y"),
    ]
    return model(nodes, {"middle": np.array([1]), "wide": np.array([0, 2, -1, 1]), "back": np.array([-1, 4, WIDTH])})


def moves_in_a_branch() -> onnx.ModelProto:
    """A Transpose whose result an If's body reads, and the main graph transposes back."""
    before = [node("Transpose", "x", "h", perm=[0, 2, 1]), node("Transpose", "h", "g", perm=[0, 2, 1])]
    made = branch([node("Transpose", "h", "t", perm=[0, 2, 1])], [node("Exp", "g", "e")], before)
    made.graph.output.append(value("h", ("batch", WIDTH, 4)))
    return made


def half_moves() -> onnx.ModelProto:
    """float16 constants between Transposes."""
    held = {"c": np.linspace(-1, 1, WIDTH).astype(np.float16).reshape(WIDTH, 1)}
    nodes = [
        node("Cast", "x", "half", to=TensorProto.FLOAT16),
        node("Transpose", "half", "first", perm=[0, 2, 1]),
        node("Add", "first c", "sum"),
        node("Transpose", "sum", "last", perm=[0, 2, 1]),
        node("Cast", "last", "y", to=TensorProto.FLOAT),
    ]
    return model(nodes, held)


def graphs() -> dict[str, onnx.ModelProto]:
    """By what they are about; every pass keeps what they compute."""
    pair = {"s": np.array([1]), "e": np.array([3]), "a": np.array([1]), "b": np.array([2])}
    return {
        "an mlp between transposes": mlp_between_transposes(),
        "an encoder with two free dimensions": encoder(),
        "a mask on channels first": sliding_mask(),
        "two biases of one tensor": two_biases(),
        "a column squeezed and back": squeezed_and_back(),
        "a chain of reshapes": chain_of_reshapes(),
        "transposes around a branch": moves_in_a_branch(),
        "float16 between transposes": half_moves(),
        "two slices": model([node("Slice", "x s e a", "h"), node("Slice", "h s e b", "y")], pair, outputs=[value("y", ("batch", 2, 2))]),
        "a loop beside a product": loop({"w": weights()}),
    }
