"""Which inputs of which nodes are quantised.

The rule is NVIDIA's ("Q/DQ Layer-Placement Recommendations", docs.nvidia.com/deeplearning/tensorrt, Working with
Quantized Types): quantise all inputs of weighted operations, do not quantise their outputs, quantise the residual input of
a skip connection behind a convolution (the Add is then fused into it), quantise nothing that is not fused with a product.
So LayerNorm, Softmax, GELU and biases stay high: a Q before them would only round. The residual stream of a transformer
stays high too: there the Add stands behind a matrix product, where TensorRT adds it in the high precision.

The two products of an attention have no weights. Quantising both (TensorRT's int8 fused attention wants all four of their
inputs quantised) costs 6 dB on vit_digits and is slower on the CPU (docs/precisions.md), so it is an option.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from variants.graph import constant
from variants.lowering.keep import NONE, Keep
from variants.variant import Array

PRODUCTS = ("MatMul", "Gemm")
CONVOLUTION = "Conv"


@dataclass(frozen=True, slots=True)
class Product:
    """A node with a weight known ahead of time; `axis` is the weight's output channel, `summed` the one that is summed over."""

    node: gs.Node
    weight: Array
    axis: int
    summed: int


@dataclass(frozen=True, slots=True)
class Read:
    """Input number `place` of `node`, an activation."""

    node: gs.Node
    place: int

    @property
    def tensor(self) -> gs.Tensor:
        """The activation."""
        return self.node.inputs[self.place]


@dataclass(frozen=True, slots=True)
class Placement:
    """What is quantised beside matrix products by a constant."""

    convolutions: bool = True
    residuals: bool = True
    attention: bool = False

    def products(self, graph: gs.Graph, keep: Keep = NONE) -> list[Product]:
        """The products by a constant, in graph order."""
        return [found for found in products(graph) if found.node.name not in keep and (self.convolutions or found.node.op in PRODUCTS)]

    def reads(self, graph: gs.Graph, keep: Keep = NONE) -> list[Read]:
        """The activations that are quantised, by their readers, in graph order."""
        weighted = {id(product.node) for product in self.products(graph, keep)}
        found: list[Read] = []
        for node in graph.nodes:
            if node.name in keep:
                continue
            if id(node) in weighted:
                found.append(Read(node, 0))
            elif self.residuals and (place := _residual(graph, node, weighted)) is not None:
                found.append(Read(node, place))
            elif self.attention and _of_activations(node):
                found += [Read(node, 0), Read(node, 1)]
        return found


EVERYWHERE, MATRICES = Placement(), Placement(convolutions=False, residuals=False)
"""The default for int8; matrix products by a constant alone."""


def products(graph: gs.Graph) -> Iterator[Product]:
    """MatMul, Gemm and Conv with a constant float32 weight."""
    for node in graph.nodes:
        if node.op not in (*PRODUCTS, CONVOLUTION):
            continue
        weight = constant(node.inputs[1])
        if weight is None or weight.dtype != np.float32 or (node.op == "MatMul" and weight.ndim != 2):
            continue
        transposed = node.op == CONVOLUTION or node.attrs.get("transB", 0)
        yield Product(node, weight, 0 if transposed else weight.ndim - 1, 1 if transposed else 0)


def _residual(graph: gs.Graph, node: gs.Node, weighted: set[int]) -> int | None:
    """Which input of an Add is the skip connection around a quantised convolution that nothing else reads; None where none is."""
    if node.op != "Add" or any(constant(tensor) is not None for tensor in node.inputs):
        return None
    behind = [_convolved(graph, tensor, weighted) for tensor in node.inputs]
    if not any(behind) or node.inputs[0] is node.inputs[1]:
        return None
    return 1 if behind[0] else 0


def _convolved(graph: gs.Graph, tensor: gs.Tensor, weighted: set[int]) -> bool:
    (node, *_) = tensor.inputs or [None]
    alone = len(tensor.outputs) == 1 and not any(tensor is output for output in graph.outputs)
    return node is not None and alone and node.op == CONVOLUTION and id(node) in weighted


def _of_activations(node: gs.Node) -> bool:
    """A product of two activations of at least three dimensions: attention, not arithmetic on shapes."""
    if node.op != "MatMul" or any(constant(tensor) is not None for tensor in node.inputs):
        return False
    return all(tensor.dtype in (None, np.float32) and (tensor.shape is None or len(tensor.shape) >= 3) for tensor in node.inputs)
