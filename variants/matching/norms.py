"""LayerNorm over the last axis, as one operator or written out: what kernels and bigger fusions take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from variants.explain import decline
from variants.matching.layernorm import find


@dataclass(frozen=True, slots=True)
class Norm:
    """output = LayerNorm(source) over the last axis with fp32 statistics that nobody reads; `gamma` and `beta` are [columns].

    `nodes` are all that it is made of, the one that writes `output` last; `beta` is None where there is none.
    """

    source: gs.Tensor
    output: gs.Tensor
    gamma: gs.Tensor
    beta: gs.Tensor | None
    eps: float
    nodes: tuple[gs.Node, ...]

    @property
    def shift(self) -> gs.Tensor:
        """`beta`, or the zeros that a LayerNorm without one has."""
        return zeros(f"{self.output.name}/beta", self.gamma) if self.beta is None else self.beta


def norms(graph: gs.Graph) -> Iterator[Norm]:
    """Every one in the main graph; doubtful ones (other axes, statistics read or not in fp32, broadcast weights) are declined."""
    for node in list(graph.nodes):
        if node.op == "LayerNormalization" and not node.domain and (made := _operator(graph, node)):
            yield made
    for found in find(graph):
        if found.axis != -1 or one_row(found.source):
            decline(found.output.name, "this LayerNorm is not over the last of two or more axes")
        else:
            yield Norm(found.source, found.output, found.scale, found.bias, found.epsilon, found.nodes)


def zeros(name: str, like: gs.Tensor) -> gs.Constant:
    """Zeros of the shape and element type of a weight."""
    return gs.Constant(name, np.zeros(like.shape, like.dtype))


def one_row(source: gs.Tensor) -> bool:
    """Whether it has columns only: a kernel takes two axes and more."""
    return source.shape is not None and len(source.shape) < 2


def _operator(graph: gs.Graph, node: gs.Node) -> Norm | None:
    source, gamma, *rest = node.inputs
    output, *statistics = node.outputs
    given = [tensor for tensor in rest if tensor.name]
    why = _why_not(graph, node, statistics, [gamma, *given])
    if why:
        decline(output.name, why)
        return None
    return Norm(source, output, gamma, given[0] if given else None, float(node.attrs.get("epsilon", 1e-5)), (node,))


def _why_not(graph: gs.Graph, node: gs.Node, statistics: list[gs.Tensor], weights: list[gs.Tensor]) -> str:
    source = node.inputs[0]
    if any(tensor.outputs or any(tensor is other for other in graph.outputs) for tensor in statistics):
        return "the statistics of this LayerNorm are read"
    if node.attrs.get("stash_type", 1) != 1:
        return "the statistics of this LayerNorm are not in fp32"
    if not _last(node.attrs.get("axis", -1), source) or one_row(source):
        return "this LayerNorm is not over the last of two or more axes"
    return "" if all(_fits(tensor, source) for tensor in weights) else "its weights are not one fp32 or fp16 value a column"


def _last(axis: int, source: gs.Tensor) -> bool:
    return axis == -1 or (source.shape is not None and axis == len(source.shape) - 1)


def _fits(weight: gs.Tensor, source: gs.Tensor) -> bool:
    """One value a column, and not by broadcasting; float64 and bf16, which NumPy does not know, are left out."""
    if weight.shape is None or len(weight.shape) != 1 or weight.dtype not in (np.float16, np.float32):
        return False
    size, cols = weight.shape[0], source.shape[-1] if source.shape is not None else None
    return isinstance(size, int) and (size == cols if isinstance(cols, int) else size > 1)
