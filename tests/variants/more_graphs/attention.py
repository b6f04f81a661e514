"""Attention as exporters write it, small: name the form, the rest is filled in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto

from tests.variants.graphs import Dims, model, node, value

HEADS, SIZE, LENGTH = 2, 4, 5
WIDTH = HEADS * SIZE
Mask = Literal["", "added", "added by head", "added bool", "filled", "filled and zeroed", "filled finite", "filled -1e4", "nan guard"]


@dataclass(frozen=True, slots=True)
class Form:
    """One attention x -> y, [batch, 5, 8] with 2 heads of 4; every field is one way in which it may be written."""

    scale: Literal["mul", "div", "query", "key", "both", "computed", ""] = "mul"
    mask: Mask = ""
    under: bool = False
    key: Literal["once", "twice", "scaled between"] = "once"
    between: Sequence[str] = ()
    heads_in_batch: bool = False
    packed: Literal["", "split", "gather"] = ""
    merged: bool = True
    cross: bool = False
    opset: int = 13
    axis: int = -1
    dtype: int = TensorProto.FLOAT
    wide: bool = False
    prefix: str = ""
    size: int = SIZE
    mask_shape: Sequence[int | str] = ("batch", 1, 1, LENGTH)

    @property
    def width(self) -> int:
        """Of x."""
        return HEADS * self.size

    def model(self, *more: onnx.NodeProto, outputs: Sequence[onnx.ValueInfoProto] = (), **constants: Any) -> onnx.ModelProto:
        """The model; `more` nodes read of it."""
        inputs = [value("x", ("batch", LENGTH, self.width), self.dtype)]
        inputs += [value("memory", ("batch", "keys", self.width), self.dtype)] if self.cross else []
        kind = TensorProto.BOOL if self.mask not in ("", "added", "added by head") else self.dtype
        inputs += [value("mask", self.mask_shape, kind)] if self.mask else []
        out = ("batch", LENGTH, self.width) if self.merged or self.packed else ("batch", HEADS, LENGTH, self.size)
        out = (f"batch_{HEADS}", LENGTH, self.size) if self.heads_in_batch else out
        return model([*self.nodes(), *more], self.constants() | constants, inputs, outputs or [value("y", out, self.dtype)], self.opset)

    def constants(self) -> dict[str, Any]:
        """What the nodes read, and nothing else."""
        kind = np.float16 if self.dtype == TensorProto.FLOAT16 else np.float32
        draw = np.random.default_rng(7)
        held: dict[str, Any] = {f"w_{name}": draw.normal(size=(self.width, self.width)).astype(kind) for name in "qkv"}
        held |= {"w_qkv": np.concatenate([held[f"w_{name}"] for name in "qkv"], axis=1)}
        held |= {"split": np.array([0, -1, HEADS, self.size], np.int64), "merge": np.array([0, -1, self.width], np.int64)}
        held |= {"rows": np.array([LENGTH, -1, self.size], np.int64), "five": np.array([0, -1, 3, HEADS, self.size], np.int64)}
        held |= {"half": np.array(self.size**-0.5, kind), "two": np.array(self.size**0.5, kind), "root": np.array(self.size**-0.25, kind)}
        held |= {"nought": np.array(0, kind), "never": np.array(-np.inf, kind), "little": np.array(-1e4, kind), "one": np.array(1, kind)}
        held |= {"least": np.array(np.finfo(kind).min, kind), "last": np.array([-1], np.int64), "end": np.array([2**31 - 1], np.int64)}
        held |= {"axis_0": np.array([0], np.int64)} | {f"place_{place}": np.array(place, np.int64) for place in range(3)}
        read = {name for made in self.nodes() for name in made.input}
        return {self.prefix + name: array for name, array in held.items() if self.prefix + name in read or name in read}

    def nodes(self) -> list[onnx.NodeProto]:
        """In topological order; tensors are called after `prefix`, but for x, memory, mask and y."""
        made = [*self._split(), *self._scores(), *self._softmax()]
        if self.heads_in_batch or not (self.merged or self.packed):
            return self._named([*made, node("MatMul", "weights v", "y")])
        made += [node("MatMul", "weights v", "mixed"), node("Transpose", "mixed", "turned", perm=[0, 2, 1, 3])]
        return self._named([*made, node("Reshape", "turned merge", "y")])

    def _named(self, made: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
        for one in made if self.prefix else ():
            one.name = self.prefix + one.name
            one.input[:] = [name if name in ("x", "memory", "mask") else self.prefix + name for name in one.input]
            one.output[:] = [self.prefix + name for name in one.output]
        return made

    def _split(self) -> list[onnx.NodeProto]:
        """q and v with heads in front, k as the product of the scores reads it."""
        if self.packed:
            return self._packed()
        source = "memory" if self.cross else "x"
        made = [node("MatMul", f"{'x' if name == 'q' else source} w_{name}", f"{name}_flat") for name in "qkv"]
        if self.heads_in_batch:
            for name in "qkv":
                made += [
                    node("Transpose", f"{name}_flat", f"{name}_first", perm=[1, 0, 2]),
                    node("Reshape", f"{name}_first rows", f"{name}_rows"),
                ]
            made += [node("Transpose", f"{name}_rows", name, perm=[1, 0, 2]) for name in "qv"]
            return [*made, node("Transpose", "k_rows", "k", perm=[1, 2, 0])]
        made += [node("Reshape", f"{name}_flat split", f"{name}_split") for name in "qkv"]
        made += [node("Transpose", f"{name}_split", name, perm=[0, 2, 1, 3]) for name in "qv"]
        return [*made, *self._keys("k_split")]

    def _keys(self, split: str) -> list[onnx.NodeProto]:
        if self.key == "once":
            return [node("Transpose", split, "k", perm=[0, 2, 3, 1])]
        front = node("Transpose", split, "k_heads", perm=[0, 2, 1, 3])
        if self.key == "twice":
            return [front, node("Transpose", "k_heads", "k", perm=[0, 1, 3, 2])]
        return [front, node("Mul", "k_heads one", "k_scaled"), node("Transpose", "k_scaled", "k", perm=[0, 1, 3, 2])]

    def _packed(self) -> list[onnx.NodeProto]:
        made = [node("MatMul", "x w_qkv", "all"), node("Reshape", "all five", "parts")]
        made += [node("Transpose", "parts", "turned_parts", perm=[2, 0, 3, 1, 4])]
        if self.packed == "gather":
            made += [node("Gather", f"turned_parts place_{place}", name, axis=0) for place, name in enumerate(("q", "k_heads", "v"))]
        else:
            made += [node("Split", "turned_parts", "q_part k_part v_part", axis=0)]
            made += [node("Squeeze", f"{part} axis_0", name) for part, name in (("q_part", "q"), ("k_part", "k_heads"), ("v_part", "v"))]
        return [*made, node("Transpose", "k_heads", "k", perm=[0, 1, 3, 2])]

    def _scores(self) -> list[onnx.NodeProto]:
        made, query, key = [], "q", "k"
        if self.scale == "computed":
            made += [
                node("Shape", "q", "q_shape"),
                node("Slice", "q_shape last end", "q_size"),
                node("Cast", "q_size", "q_float", to=self.dtype),
            ]
            made += [node("Sqrt", "q_float", "q_root"), node("Div", "one q_root", "factor"), node("Sqrt", "factor", "factor_root")]
        root = "factor_root" if self.scale == "computed" else "root" if self.scale == "both" else "half"
        if self.scale in ("query", "both", "computed"):
            made, query = [*made, node("Mul", f"q {root}", "q_scaled")], "q_scaled"
        if self.scale in ("key", "both", "computed"):
            made, key = [*made, node("Mul", f"k {root}", "k_last")], "k_last"
        made.append(node("MatMul", f"{query} {key}", "product"))
        masked, product = self._masked("product") if self.under else ([], "product")
        if self.scale in ("mul", "div"):
            return [
                *made,
                *masked,
                node("Mul" if self.scale == "mul" else "Div", f"{product} {'half' if self.scale == 'mul' else 'two'}", "scaled"),
            ]
        return [*made, *masked, node("Identity", product, "scaled")]

    def _softmax(self) -> list[onnx.NodeProto]:
        made, scores = ([], "scaled") if self.under else self._masked("scaled")
        if self.wide:
            made, scores = [*made, node("Cast", scores, "wide_scores", to=TensorProto.FLOAT)], "wide_scores"
        made.append(node("Softmax", scores, "softened", axis=self.axis))
        weights = "softened"
        for number, op in enumerate([*self.between, *(["Cast"] if self.wide else [])]):
            made.append(node(op, weights, f"between_{number}", **({"to": self.dtype} if op == "Cast" else {})))
            weights = f"between_{number}"
        if self.mask == "filled and zeroed":
            return [*made, node("Where", f"mask nought {weights}", "weights")]
        if self.mask == "nan guard":
            return [*made, node("IsNaN", weights, "lost"), node("Where", f"lost nought {weights}", "weights")]
        return [*made, node("Identity", weights, "weights")]

    def _masked(self, scores: str) -> tuple[list[onnx.NodeProto], str]:
        if not self.mask:
            return [], scores
        if self.mask in ("added", "added by head"):
            return [node("Add", f"{scores} mask", "masked")], "masked"
        if self.mask in ("added bool", "nan guard"):
            return [node("Where", "mask nought never", "bias"), node("Add", f"bias {scores}", "masked")], "masked"
        fill = {"filled finite": "least", "filled -1e4": "little"}.get(self.mask, "never")
        return [node("Where", f"mask {fill} {scores}", "masked")], "masked"


def bare(queries: Dims, mask: Dims, keys: int = LENGTH) -> onnx.ModelProto:
    """softmax(q k^T + mask) v of four inputs."""
    rank = len(queries)
    front = list(queries[:-2])
    turn = [*range(rank - 2), rank - 1, rank - 2]
    return model(
        [
            node("Transpose", "k", "kt", perm=turn),
            node("MatMul", "q kt", "s"),
            node("Add", "s mask", "m"),
            node("Softmax", "m", "p", axis=-1),
            node("MatMul", "p v", "y"),
        ],
        {},
        [value("q", queries), value("k", [*front, keys, SIZE]), value("v", [*front, LENGTH, SIZE]), value("mask", mask)],
        [value("y", [*front, max(n for n in (queries[-2], mask[-2]) if isinstance(n, int)), SIZE])],
    )


def feeds(graph: onnx.ModelProto, batch: int, seed: int = 0) -> dict[str, Any]:
    """Normal values; booleans of which the first of a row is such that no row is hidden whole, but the whole of the last batch."""
    draw = np.random.default_rng(seed)
    kinds = {TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16}
    given: dict[str, Any] = {}
    for one in graph.graph.input:
        shape = [d.dim_value or (7 if d.dim_param == "keys" else batch) for d in one.type.tensor_type.shape.dim]
        kind = one.type.tensor_type.elem_type
        given[one.name] = draw.random(shape) > 0.5 if kind == TensorProto.BOOL else draw.normal(size=shape).astype(kinds[kind])
    return given


def graphs() -> dict[str, onnx.ModelProto]:
    """Those whose inputs are all fp32."""
    plain = Form()
    return {
        "attention": plain.model(),
        "attention, a mask that is added": replace(plain, mask="added").model(),
        "attention, heads in the batch": replace(plain, heads_in_batch=True).model(),
        "attention, one projection for three": replace(plain, packed="split").model(),
        "attention, keys transposed twice and scaled": replace(plain, key="scaled between", scale="both").model(),
        "attention, heads of 64": replace(plain, size=64, mask="added").model(),
        "attention, not merged": replace(plain, merged=False, scale="query").model(),
    }
