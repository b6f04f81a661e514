"""Nodes by what they are part of, found by structure: what `group:NAME` stands for in a precision.

attention   the two products of activations around a softmax, and all between them
softmax     Softmax and LogSoftmax
layernorm   layer and RMS normalisation, as an operator or written out
gelu        GELU, as an operator or written out by erf or tanh
embedding   Gather from a table of floats
conv        Conv and ConvTranspose
product     MatMul and Gemm by a constant
residual    Add of a tensor to what was computed from it
stem, head  the first product or convolution; the last one before each output
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from variants.graph import constant, shaped
from variants.matching.layernorm import find as layernorms

SOFTMAX = ("Softmax", "LogSoftmax")
CONVOLUTIONS = ("Conv", "ConvTranspose")
PRODUCTS = ("MatMul", "Gemm")
ATTENTIONS = ("Attention", "MultiHeadAttention", "QAttention")
NORMS = ("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization", "SkipLayerNormalization")
GELUS = ("Gelu", "FastGelu", "BiasGelu", "QuickGelu")
BETWEEN = ("Add", "Mul", "Div", "Sub", "Where", "Cast", "Reshape", "Transpose", "Identity", "Dropout", "Clip", "Max")
"""What stands between a product and the softmax: scale, mask and moves."""
REACH = 8
NAMES = ("attention", "softmax", "layernorm", "gelu", "embedding", "conv", "product", "residual", "stem", "head")


def groups(model: onnx.ModelProto) -> dict[str, list[str]]:
    """The names of the nodes of each group, in graph order; a group that the graph lacks is empty."""
    graph = shaped(model)
    graph.toposort()
    found: dict[str, Callable[[gs.Graph], Iterator[gs.Node]]] = {
        "attention": _attention,
        "softmax": lambda graph: _of(graph, SOFTMAX),
        "layernorm": _layernorm,
        "gelu": _gelu,
        "embedding": _embedding,
        "conv": lambda graph: _of(graph, CONVOLUTIONS),
        "product": lambda graph: (node for node in _of(graph, PRODUCTS) if _by_constant(node)),
        "residual": _residual,
        "stem": lambda graph: iter(_weighted(graph)[:1]),
        "head": _head,
    }
    order = {node.name: place for place, node in enumerate(model.graph.node)}
    return {name: sorted({node.name for node in members(graph)} & order.keys(), key=order.__getitem__) for name, members in found.items()}


def _of(graph: gs.Graph, operators: tuple[str, ...]) -> Iterator[gs.Node]:
    return (node for node in graph.nodes if node.op in operators)


def _by_constant(node: gs.Node) -> bool:
    return len(node.inputs) > 1 and constant(node.inputs[1]) is not None


def _weighted(graph: gs.Graph) -> list[gs.Node]:
    return [node for node in _of(graph, PRODUCTS + CONVOLUTIONS) if _by_constant(node)]


def _attention(graph: gs.Graph) -> Iterator[gs.Node]:
    yield from _of(graph, ATTENTIONS)
    for softmax in _of(graph, SOFTMAX):
        before = _towards_product(softmax.inputs[0], lambda tensor: tensor.inputs, lambda node: node.inputs, REACH)
        after = _towards_product(softmax.outputs[0], lambda tensor: tensor.outputs, lambda node: node.outputs, REACH)
        if before and after:
            yield from (softmax, *before, *after)


Nodes = Callable[[gs.Tensor], list[gs.Node]]
Tensors = Callable[[gs.Node], list[gs.Tensor]]


def _towards_product(tensor: gs.Tensor, nodes: Nodes, tensors: Tensors, reach: int) -> list[gs.Node]:
    """The nodes from `tensor` to the nearest products of two activations, those included; none when there is no such product."""
    path: list[gs.Node] = []
    for node in nodes(tensor):
        if node.op == "MatMul" and not _by_constant(node):
            path.append(node)
        elif node.op in BETWEEN and reach:
            further = [_towards_product(other, nodes, tensors, reach - 1) for other in tensors(node)]
            path += [node, *(one for found in further for one in found)] if any(further) else []
    return path


def _layernorm(graph: gs.Graph) -> Iterator[gs.Node]:
    yield from _of(graph, NORMS)
    yield from (node for match in layernorms(graph) for node in match.nodes)


def _gelu(graph: gs.Graph) -> Iterator[gs.Node]:
    yield from _of(graph, GELUS)
    for bent in _of(graph, ("Erf", "Tanh")):
        shifted = next((node for node in bent.outputs[0].outputs if node.op == "Add" and _has_one(node)), None)
        if shifted is not None:
            yield from (bent, shifted)
            yield from _chain(shifted.outputs[0], lambda tensor: tensor.outputs, lambda node: node.outputs, ("Mul",), 2)
            allowed = ("Mul", "Div") if bent.op == "Erf" else ("Mul", "Add", "Pow")
            yield from _chain(bent.inputs[0], lambda tensor: tensor.inputs, lambda node: node.inputs, allowed, 1 if bent.op == "Erf" else 5)


def _chain(tensor: gs.Tensor, nodes: Nodes, tensors: Tensors, allowed: tuple[str, ...], reach: int) -> Iterator[gs.Node]:
    for node in nodes(tensor) if reach else ():
        if node.op in allowed:
            yield node
            for other in tensors(node):
                yield from _chain(other, nodes, tensors, allowed, reach - 1)


def _has_one(node: gs.Node) -> bool:
    values = [value for tensor in node.inputs if (value := constant(tensor)) is not None]
    return any(value.size == 1 and float(value.ravel()[0]) == 1 for value in values)


def _embedding(graph: gs.Graph) -> Iterator[gs.Node]:
    for node in _of(graph, ("Gather",)):
        table = constant(node.inputs[0])
        if table is not None and table.ndim == 2 and table.dtype in (np.float32, np.float16):
            yield node


def _residual(graph: gs.Graph) -> Iterator[gs.Node]:
    for node in _of(graph, ("Add",)):
        floats = all(tensor.dtype in (np.float32, np.float16) and constant(tensor) is None for tensor in node.inputs)
        first, second = node.inputs
        if floats and (_comes_from(first, second) or _comes_from(second, first)):
            yield node


def _comes_from(tensor: gs.Tensor, source: gs.Tensor) -> bool:
    seen: set[int] = set()
    waiting = [tensor]
    while waiting:
        one = waiting.pop()
        if one is source:
            return True
        if id(one) not in seen:
            seen.add(id(one))
            waiting += [other for node in one.inputs for other in node.inputs]
    return False


def _head(graph: gs.Graph) -> Iterator[gs.Node]:
    last_first = list(reversed(_weighted(graph)))
    for output in graph.outputs:
        yield from [node for node in last_first if _comes_from(output, node.outputs[0])][:1]
