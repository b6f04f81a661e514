"""Encoders of which few rows are read: the first one of a ViT, the last one of a decoder, the first ones of a dense head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from tests.variants.graphs import WIDTH, Dims, Norm, affine, model, node, value

HEADS, SIZE = 2, WIDTH // 2
HIDDEN, CLASSES = 12, 3


@dataclass(frozen=True, slots=True)
class Encoder:
    """x [batch, tokens, 8] through one pre-norm block and a last norm, of which `read` picks rows; every field is one way to write it."""

    tokens: int | str = 5
    index: Any = 0
    packed: bool = False
    causal: bool = False
    head: bool = True
    opset: int = 17
    norm: str = "LayerNormalization"
    target: str = "numbers"

    def model(self, *more: onnx.NodeProto, outputs: Dims = (), **constants: Any) -> onnx.ModelProto:
        """The model; `more` nodes read of it, `outputs` are names of further outputs of the shape of x."""
        shape: Dims = ("batch", self.tokens, WIDTH)
        rows: Dims = () if np.ndim(self.index) == 0 else (len(self.index),)
        made = [*self.block(), *self._norm("h2", "n3"), node("Gather", "n3 index", "picked" if self.head else "y", axis=1)]
        made += [node("MatMul", "picked w_head", "y")] if self.head else []
        held = {name: array for name, array in (self.constants() | constants).items() if name in self._read([*made, *more])}
        ends = [value("y", ("batch", *rows, CLASSES if self.head else WIDTH)), *(value(str(name), shape) for name in outputs)]
        return model([*made, *more], held, [value("x", shape)], ends, self.opset)

    def _read(self, nodes: list[onnx.NodeProto]) -> set[str]:
        return {name for made in nodes for name in made.input}

    def constants(self) -> dict[str, Any]:
        """Of all forms."""
        draw = np.random.default_rng(3)
        held: dict[str, Any] = {f"w_{name}": draw.normal(size=(WIDTH, WIDTH)).astype(np.float32) for name in "qkvo"}
        held |= {"w_qkv": np.concatenate([held[f"w_{name}"] for name in "qkv"], axis=1), "half": np.float32(SIZE**-0.5)}
        held |= {"w_1": draw.normal(size=(WIDTH, HIDDEN)).astype(np.float32), "w_2": draw.normal(size=(HIDDEN, WIDTH)).astype(np.float32)}
        held |= {"b_1": draw.normal(size=HIDDEN).astype(np.float32), "w_head": draw.normal(size=(WIDTH, CLASSES)).astype(np.float32)}
        tokens = -1 if isinstance(self.tokens, str) else self.tokens
        held |= {"split": np.array([0, tokens, HEADS, SIZE], np.int64), "merge": np.array([0, tokens, WIDTH], np.int64)}
        held |= {"five": np.array([0, tokens, 3, HEADS, SIZE], np.int64), "axis_0": np.array([0], np.int64)}
        held |= {f"place_{place}": np.array(place, np.int64) for place in range(3)} | {"index": np.array(self.index, np.int64)}
        if self.causal:
            held["mask"] = np.triu(np.full((int(self.tokens), int(self.tokens)), -1e4, np.float32), 1)
        return held | affine()

    def block(self) -> list[onnx.NodeProto]:
        """x -> h2: attention and an MLP, each behind a norm and with what came in added."""
        made = [*self._norm("x", "n1"), *self._projected(), node("MatMul", "q k", "scores"), node("Mul", "scores half", "scaled")]
        made += [node("Add", "scaled mask", "masked")] if self.causal else []
        made += [node("Softmax", "masked" if self.causal else "scaled", "weights", axis=-1), node("MatMul", "weights v", "mixed")]
        made += [node("Transpose", "mixed", "turned", perm=[0, 2, 1, 3]), *self._merged(), node("MatMul", "merged w_o", "projected")]
        made += [
            node("Add", "x projected", "h1"),
            *self._norm("h1", "n2"),
            node("MatMul", "n2 w_1", "up"),
            node("Add", "up b_1", "shifted"),
        ]
        return [*made, node("Relu", "shifted", "active"), node("MatMul", "active w_2", "down"), node("Add", "h1 down", "h2")]

    def _norm(self, source: str, output: str) -> list[onnx.NodeProto]:
        if self.norm == "nodes":
            return Norm(source, output).nodes()
        return [node("LayerNormalization", f"{source} scale bias", output)]

    def _projected(self) -> list[onnx.NodeProto]:
        if self.packed:
            made = [node("MatMul", "n1 w_qkv", "all"), node("Reshape", "all five", "parts")]
            made += [node("Transpose", "parts", "turned_parts", perm=[2, 0, 3, 1, 4])]
            made += [node("Split", "turned_parts", "q_part k_part v_part", axis=0)]
            made += [node("Squeeze", f"{name}_part axis_0", "k_heads" if name == "k" else name) for name in "qkv"]
            return [*made, node("Transpose", "k_heads", "k", perm=[0, 1, 3, 2])]
        made = [node("MatMul", f"n1 w_{name}", f"{name}_flat") for name in "qkv"]
        made += [node("Reshape", f"{name}_flat split", f"{name}_split") for name in "qkv"]
        turns = {"q": [0, 2, 1, 3], "k": [0, 2, 3, 1], "v": [0, 2, 1, 3]}
        return [*made, *(node("Transpose", f"{name}_split", name, perm=perm) for name, perm in turns.items())]

    def _merged(self) -> list[onnx.NodeProto]:
        if self.target == "numbers":
            return [node("Reshape", "turned merge", "merged")]
        sizes = [node("Shape", "n1", "sizes"), node("Reshape", "turned sizes", "merged")]
        return sizes if self.target == "computed" else [node("Shape", "turned", "own"), *sizes]


def graphs() -> dict[str, onnx.ModelProto]:
    """Valid at two or more tokens."""
    return {
        "the first row of an encoder": Encoder().model(),
        "the first row of an encoder with one projection for three": Encoder(packed=True).model(),
        "the last row of an encoder of any length": Encoder(tokens="tokens", index=-1).model(),
        "the last row under a constant mask": Encoder(causal=True, index=[-1], head=False).model(),
        "two rows of an encoder in single nodes": Encoder(index=[1, 3], norm="nodes", opset=13).model(),
    }
