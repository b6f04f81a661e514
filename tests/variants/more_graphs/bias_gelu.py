"""A linear layer's bias before GELU, and sums before GELU that are none."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from tests.variants.graphs import body, model, node, value

DRAW = np.random.default_rng(11)
W = DRAW.normal(size=(8, 8)).astype(np.float32)
B = DRAW.normal(size=8).astype(np.float32)


def layer(approximate: str = "none", dtype: Any = np.float32, swapped: bool = False) -> onnx.ModelProto:
    """Gelu(x W + b) as an exporter writes a linear layer."""
    kind = {np.float32: TensorProto.FLOAT, np.float16: TensorProto.FLOAT16, np.float64: TensorProto.DOUBLE}[dtype]
    nodes = [
        node("MatMul", "x w", "h"),
        node("Add", "b h" if swapped else "h b", "s"),
        node("Gelu", "s", "y", approximate=approximate),
    ]
    weights: dict[str, Any] = {"w": W.astype(dtype), "b": B.astype(dtype)}
    shape = ("batch", 4, 8)
    return model(nodes, weights, inputs=[value("x", shape, kind)], outputs=[value("y", shape, kind)], opset=20)


def sums(bias: np.ndarray, *more: onnx.NodeProto, outputs: tuple[str, ...] = ("y",)) -> onnx.ModelProto:
    """Gelu(x + bias) with other nodes and outputs."""
    nodes = [node("Add", "x b", "s"), node("Gelu", "s", "y"), *more]
    made = [value(name, ("batch", 4, 8)) for name in outputs]
    return model(nodes, {"b": bias.astype(np.float32)}, inputs=[value("x", ("batch", 4, 8))], outputs=made, opset=20)


def graphs() -> dict[str, onnx.ModelProto]:
    """Good ones first."""
    inside = body("then", [node("Gelu", "s", "inner")], [value("inner", ("batch", 4, 8))])
    other = body("else", [node("Neg", "x", "minus")], [value("minus", ("batch", 4, 8))])
    chosen = [node("Add", "x b", "s"), node("If", "yes", "y", then_branch=inside, else_branch=other)]
    return {
        "bias and GELU": layer(),
        "bias and GELU by tanh": layer("tanh", swapped=True),
        "the biased sum is an output": sums(B, outputs=("y", "s")),
        "the biased sum has another reader": sums(B, node("Neg", "s", "z"), outputs=("y", "z")),
        "a scalar is no bias": sums(np.array(0.5)),
        "a whole constant tensor is no bias": sums(DRAW.normal(size=(4, 8))),
        "only a body reads the biased sum": model(
            chosen, {"b": B, "yes": np.array(True)}, inputs=[value("x", ("batch", 4, 8))], outputs=[value("y", ("batch", 4, 8))], opset=20
        ),
    }
