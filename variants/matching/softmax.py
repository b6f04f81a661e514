"""Find softmax over the last axis with the scale and the mask before it, as attention has it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from variants.explain import decline
from variants.graph import constant, scalar
from variants.matching.layernorm_parts import producer
from variants.symbolic.infer import Facts, Shape, infer

DEFAULT_SINCE_13 = 13
"""Softmax's axis is the last one by default since opset 13, before that the second."""


@dataclass(frozen=True, slots=True)
class Softmax:
    """output = softmax(scale * source + mask) over the last axis, `source` being [batch, ..., columns] of three axes and more.

    `rank` is that of `source`; `mask` is [batch, 1, ..., 1, columns], or None; `last` is the node that writes `output`.
    """

    source: gs.Tensor
    output: gs.Tensor
    rank: int
    scale: float
    mask: gs.Tensor | None
    last: gs.Node


def find(graph: gs.Graph) -> Iterator[Softmax]:
    """Every one in the main graph; near misses are declined with the reason."""
    nodes = [node for node in graph.nodes if node.op == "Softmax" and not node.domain]
    if not nodes:
        return
    facts, here = infer(graph), {id(node) for node in graph.nodes}
    outputs = {id(tensor) for tensor in graph.outputs}
    for node in nodes:
        (source,), (output,) = node.inputs, node.outputs
        rank = facts.rank(source)
        why = _why_not(node, rank, 1 if graph.opset < DEFAULT_SINCE_13 else -1)
        if why:
            decline(output.name, why)
            continue
        steps = _Steps(facts, here, outputs)
        source, mask = steps.masked(source)
        source, scale = steps.scaled(source)
        yield Softmax(source, output, rank or 0, scale, mask, node)


def _why_not(node: gs.Node, rank: int | None, default: int) -> str:
    if node.inputs[0].dtype not in (np.float32, np.float16):
        return "a kernel takes softmax of fp32 or fp16 only"
    if rank is None or rank < 3:
        return "a kernel takes softmax of three axes and more, and this has fewer or they are not known"
    axis = node.attrs.get("axis", default)
    return "" if axis in (-1, rank - 1) else "this softmax is not over the last axis"


@dataclass(frozen=True, slots=True)
class _Steps:
    """What stands before a softmax and is read by nothing else."""

    facts: Facts
    here: set[int]
    outputs: set[int]

    def masked(self, tensor: gs.Tensor) -> tuple[gs.Tensor, gs.Tensor | None]:
        """The tensor before a mask of one value a batch and column was added, and the mask; else itself."""
        node, shape = self._own(tensor, "Add"), self.facts.shape(tensor)
        for scores, mask in (node.inputs, node.inputs[::-1]) if node else ():
            if shape and self.facts.shape(scores) == shape and _is_for_each_row(self.facts.shape(mask), shape):
                return scores, mask
        return tensor, None

    def scaled(self, tensor: gs.Tensor) -> tuple[gs.Tensor, float]:
        """The tensor before a product with, or a quotient by, a number, and the factor; else itself and 1."""
        node = self._own(tensor, "Mul") or self._own(tensor, "Div")
        if node is None:
            return tensor, 1.0
        first, second = node.inputs
        for given, other in ((first, second), *([(second, first)] if node.op == "Mul" else [])):
            number = scalar(other)
            if number and constant(given) is None and self.facts.shape(given) == self.facts.shape(tensor):
                return given, number if node.op == "Mul" else 1 / number
        return tensor, 1.0

    def _own(self, tensor: gs.Tensor, op: str) -> gs.Node | None:
        node = producer(tensor)
        own = node is not None and node.op == op and id(node) in self.here and len(tensor.outputs) == 1 and id(tensor) not in self.outputs
        return node if own else None


def _is_for_each_row(mask: Shape | None, scores: Shape) -> bool:
    """Whether it is [batch, 1, ..., 1, columns]."""
    if mask is None or len(mask) != len(scores):
        return False
    return mask[0] == scores[0] and mask[-1] == scores[-1] and all(size.number == 1 for size in mask[1:-1])
