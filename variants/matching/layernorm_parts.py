"""The parts of a LayerNorm that is written out: which tensor is squared, which is centred, what is only a Cast of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from onnx import TensorProto
from onnx_graphsurgeon.exporters.onnx_exporter import dtype_to_onnx

from variants.graph import constant, scalar

WIDER: dict[int | None, tuple[int, ...]] = {
    TensorProto.FLOAT16: (TensorProto.FLOAT, TensorProto.DOUBLE),
    TensorProto.BFLOAT16: (TensorProto.FLOAT, TensorProto.DOUBLE),
    TensorProto.FLOAT: (TensorProto.DOUBLE,),
}
"""Casts that change no value."""


class NearMiss(Exception):
    """What looks like a match at the tensor `where` is none, and `why`."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}")
        self.where, self.why = where, why


@dataclass(frozen=True, slots=True)
class Centred:
    """x - mean(x) over `axes`, negative and the last ones; `chain` are x and that which it is a widening Cast of, the nearest first."""

    chain: tuple[gs.Tensor, ...]
    axes: tuple[int, ...]

    @classmethod
    def of(cls, sub: gs.Node) -> Centred | None:
        """What a Sub centres, None where it is none; a NearMiss for a mean over other axes than the last."""
        mean = producer(uncast(sub.inputs[1]))
        chain = _same(sub.inputs[0])
        if mean is None or mean.op != "ReduceMean" or _same(mean.inputs[0])[-1] is not chain[-1]:
            return None
        return cls(chain, axes_of(mean))

    def is_source(self, tensor: gs.Tensor) -> bool:
        """Whether it is x, in whatever element type."""
        return _same(tensor)[-1] is self.chain[-1]

    def is_mean(self, tensor: gs.Tensor) -> bool:
        """Whether it is the mean of x over the same axes."""
        mean = producer(uncast(tensor))
        return mean is not None and mean.op == "ReduceMean" and self.is_source(mean.inputs[0]) and axes_of(mean) == self.axes

    def is_it(self, tensor: gs.Tensor) -> bool:
        """Whether it is x - mean(x), the same one or computed again."""
        sub = producer(uncast(tensor))
        return sub is not None and sub.op == "Sub" and self.is_source(sub.inputs[0]) and self.is_mean(sub.inputs[1])


def squared(mean: gs.Node) -> gs.Tensor | None:
    """What a ReduceMean averages the squares of."""
    node = producer(uncast(mean.inputs[0]))
    if node is None or node.op not in ("Pow", "Mul"):
        return None
    first, second = node.inputs
    twice = first is second if node.op == "Mul" else scalar(second) == 2
    return first if twice else None


def axes_of(mean: gs.Node) -> tuple[int, ...]:
    """The reduced axes as negative numbers; a NearMiss where they are not the last ones, or not kept."""
    where = mean.outputs[0].name
    given = mean.attrs.get("axes") if len(mean.inputs) < 2 or not mean.inputs[1].name else constant(mean.inputs[1])
    if given is None:
        raise NearMiss(where, "the mean is over all axes, or over axes that are not constant")
    if not mean.attrs.get("keepdims", 1):
        raise NearMiss(where, "the reduced axes are dropped")
    axes = [int(axis) for axis in np.asarray(given).ravel()]
    shape = mean.inputs[0].shape
    if shape is None and any(axis >= 0 for axis in axes):
        raise NearMiss(where, "whether its axes are the last ones is not known")
    negative = sorted(axis if axis < 0 else axis - len(shape or ()) for axis in axes)
    if not negative or negative != list(range(-len(negative), 0)):
        raise NearMiss(where, f"the mean is over axes {negative}, and LayerNormalization takes the last ones only")
    return tuple(negative)


def producer(tensor: gs.Tensor) -> gs.Node | None:
    """The node that writes it."""
    return tensor.inputs[0] if len(tensor.inputs) == 1 else None


def readers(tensor: gs.Tensor) -> list[gs.Node]:
    """The nodes that read it, each once, those in bodies included."""
    return list({id(node): node for node in tensor.outputs}.values())


def uncast(tensor: gs.Tensor) -> gs.Tensor:
    """What it is a Cast or an Identity of."""
    node = producer(tensor)
    return uncast(node.inputs[0]) if node is not None and node.op in ("Cast", "Identity") else tensor


def onward(tensor: gs.Tensor) -> gs.Tensor:
    """Where it is after the Casts and Identities that alone read it."""
    after = readers(tensor)
    return onward(after[0].outputs[0]) if len(after) == 1 and after[0].op in ("Cast", "Identity") else tensor


def element(tensor: gs.Tensor) -> int | None:
    """The ONNX element type, None where it is not known."""
    kind: Any = tensor.dtype
    if kind is None:
        value = constant(tensor)
        kind = None if value is None else value.dtype
    return None if kind is None else int(dtype_to_onnx(kind))


def sizes(tensor: gs.Tensor, rank: int) -> tuple[int, ...] | None:
    """The last `rank` dimensions where all are known."""
    if tensor.shape is None or len(tensor.shape) < rank:
        return None
    last = tuple(tensor.shape[len(tensor.shape) - rank :])
    return tuple(int(size) for size in last) if all(isinstance(size, int | np.integer) and size >= 0 for size in last) else None


def _same(tensor: gs.Tensor) -> tuple[gs.Tensor, ...]:
    """It and the tensors before it that hold the same values, through Identities and widening Casts."""
    node = producer(tensor)
    if node is None or node.op not in ("Cast", "Identity"):
        return (tensor,)
    if node.op == "Cast" and node.attrs["to"] not in WIDER.get(element(node.inputs[0]), ()):
        return (tensor,)
    return tensor, *_same(node.inputs[0])
