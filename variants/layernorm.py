"""Find LayerNorm where an exporter below opset 17 wrote it out as nine nodes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from variants.graph import constant, only_consumer, scalar, split_constant
from variants.variant import Array


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """One match: y = (x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) * scale + bias over `axis` to the last.

    `axis` is negative; `scale` and `bias` have the shape of the normalised axes; `nodes` are the nine.
    """

    source: gs.Tensor
    output: gs.Tensor
    scale: Array
    bias: Array
    epsilon: float
    axis: int
    nodes: tuple[gs.Node, ...]


def find(graph: gs.Graph) -> Iterator[LayerNorm]:
    """Every decomposed LayerNorm, by structure alone; doubtful ones (a second consumer, other axes, a part inside a body) are left out."""
    here = {id(node) for node in graph.nodes}
    for node in list(graph.nodes):
        match = _match(graph, node) if node.op == "ReduceMean" else None
        if match and all(id(part) in here for part in match.nodes):
            yield match


def _match(graph: gs.Graph, mean: gs.Node) -> LayerNorm | None:
    axes = _trailing_axes(mean)
    sub = only_consumer(graph, mean.outputs[0], "Sub")
    if axes is None or sub is None or sub.inputs[0] is not mean.inputs[0]:
        return None
    centred = sub.outputs[0]
    square = _square(graph, centred)
    if square is None:
        return None
    variance = only_consumer(graph, square.outputs[0], "ReduceMean")
    if variance is None or _trailing_axes(variance) != axes:
        return None
    return _tail(graph, (mean, sub, square, variance), axes)


def _tail(graph: gs.Graph, head: tuple[gs.Node, ...], axes: tuple[int, ...]) -> LayerNorm | None:
    mean, sub, _, variance = head
    add = only_consumer(graph, variance.outputs[0], "Add")
    shifted = split_constant(add) if add else None
    root = only_consumer(graph, add.outputs[0], "Sqrt") if add else None
    div = only_consumer(graph, root.outputs[0], "Div") if root else None
    if shifted is None or shifted[1].shape not in ((), (1,)) or div is None or div.inputs[0] is not sub.outputs[0]:
        return None
    mul = only_consumer(graph, div.outputs[0], "Mul")
    scale = split_constant(mul) if mul else None
    last = only_consumer(graph, mul.outputs[0], "Add") if mul else None
    bias = split_constant(last) if last else None
    if last is None or scale is None or bias is None or not _affine(scale[1], bias[1], mean.inputs[0], axes):
        return None
    return LayerNorm(
        source=mean.inputs[0],
        output=last.outputs[0],
        scale=scale[1],
        bias=bias[1],
        epsilon=float(shifted[1].ravel()[0]),
        axis=axes[0],
        nodes=(*head, add, root, div, mul, last),
    )


def _affine(scale: Array, bias: Array, source: gs.Tensor, axes: tuple[int, ...]) -> bool:
    """Whether both have the shape of the normalised axes. Where that is not known, one of more than one element counts as such.

    float64 is left out: the operator would take its statistics in fp32.
    """
    if scale.shape != bias.shape or scale.ndim != len(axes) or scale.dtype != bias.dtype or scale.dtype not in (np.float16, np.float32):
        return False
    shape = source.shape[-len(axes) :] if source.shape is not None else ()
    if not shape or any(not isinstance(size, int) for size in shape):
        return scale.size > 1
    return tuple(shape) == scale.shape


def _square(graph: gs.Graph, centred: gs.Tensor) -> gs.Node | None:
    """The node that squares `centred`, whose only other reader may be the division."""
    readers = {id(node): node for node in centred.outputs}.values()
    if sorted(node.op for node in readers) not in (["Div", "Pow"], ["Div", "Mul"]) or any(centred is o for o in graph.outputs):
        return None
    square = next(node for node in readers if node.op != "Div")
    if square.op == "Pow":
        return square if scalar(square.inputs[1]) == 2 else None
    return square if all(tensor is centred for tensor in square.inputs) else None


def _trailing_axes(node: gs.Node) -> tuple[int, ...] | None:
    """The reduced axes as negative numbers when they are the last ones and are kept, else None."""
    given = node.attrs.get("axes") if len(node.inputs) < 2 else constant(node.inputs[1])
    if given is None or not node.attrs.get("keepdims", 1):
        return None
    rank = len(node.inputs[0].shape) if node.inputs[0].shape is not None else None
    axes = [int(axis) for axis in np.asarray(given).ravel()]
    if rank is None and any(axis >= 0 for axis in axes):
        return None
    negative = sorted(axis if axis < 0 else axis - int(rank or 0) for axis in axes)
    return tuple(negative) if negative == list(range(-len(negative), 0)) else None
