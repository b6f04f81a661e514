"""SmoothQuant: part of what makes activations hard to quantise moves into the weights, channel by channel.

x W = (x / s) (s W) with s_j = max|x_j|^alpha / max|W_j|^(1 - alpha) over channel j (Xiao et al., arXiv 2211.10438, equation 4;
alpha 0.5 as there). The division goes where it costs nothing: into the scale and bias of the LayerNorm that writes x, when
only products by a constant read it. Behind a LayerNorm that something else reads too (post-LN networks: the residual) a Mul
by 1 / s is inserted before the products. Products of anything else stay as they are, and say so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from variants.explain import decline
from variants.graph import constant, exported, shaped
from variants.lowering.calibration import Range, Ranges, Threshold, activations, calibrate
from variants.lowering.placement import MATRICES, Placement, Product
from variants.matching.layernorm import find as layernorms
from variants.variant import Array, Tensors

SMOOTHED = "smoothed"
FUSED = "LayerNormalization"
Factors = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Norm:
    """A LayerNorm's last constants: where the division of its output goes. `bias` is None where there is none."""

    node: gs.Node
    scale: int
    bias_node: gs.Node | None
    bias: int


def smoothed_ranges(model: onnx.ModelProto, inputs: Tensors, threshold: Threshold, alpha: float, placement: Placement) -> Ranges:
    """The ranges of the model as `migrate` leaves it, under the names of the tensors as they are, with the factors."""
    factors = _factors(model, inputs, alpha)
    moved, names = migrate(model, factors)
    tensors = [read.tensor.name for read in placement.reads(shaped(moved))]
    own = {new: old for old, new in names.items()}
    found = calibrate(moved, list(dict.fromkeys(tensors)), inputs, threshold)
    return tuple(
        Range(own.get(one.tensor, one.tensor), one.limit, tuple(float(f) for f in factors.get(own.get(one.tensor, one.tensor), ())))
        for one in found
    )


def applied(model: onnx.ModelProto, ranges: Ranges) -> tuple[onnx.ModelProto, Ranges]:
    """The model with the factors of `ranges` moved into it, and the ranges of its tensors; the model as it is without factors."""
    factors = {one.tensor: np.array(one.factors, np.float32) for one in ranges if one.factors}
    if not factors:
        return model, ranges
    moved, names = migrate(model, factors)
    return moved, tuple(Range(names.get(one.tensor, one.tensor), one.limit) for one in ranges)


def migrate(model: onnx.ModelProto, factors: Factors) -> tuple[onnx.ModelProto, dict[str, str]]:
    """Divide each tensor of `factors` by them before its products, multiply their weights; exact but for rounding.

    Returns the model and what the divided tensors are called now.
    """
    graph = shaped(model)
    names: dict[str, str] = {}
    norms = _norms(graph)
    for name, products in _readers(graph).items():
        if name in factors:
            source = products[0].node.inputs[0]
            names[name] = _divide(graph, source, products, norms[name], factors[name])
            for product in products:
                _multiply(product, factors[name])
    return exported(graph), names


def _factors(model: onnx.ModelProto, inputs: Tensors, alpha: float) -> Factors:
    graph = shaped(model)
    norms, readers = _norms(graph), _readers(graph)
    for name in readers.keys() - norms.keys():
        decline(name, "not smoothed: no LayerNorm writes what the products read")
    wanted = {name: products for name, products in readers.items() if name in norms}
    largest: dict[str, Array] = {}
    for name, values in activations(model, list(wanted), inputs):
        now = np.abs(values).reshape(-1, values.shape[-1]).max(0)
        largest[name] = np.maximum(largest.get(name, np.zeros_like(now)), now)
    return {name: _balanced(largest[name], products, alpha) for name, products in wanted.items()}


def _balanced(largest: Array, products: list[Product], alpha: float) -> Array:
    """A channel that is always zero, or whose weights are, is left as it is."""
    weights = np.max([np.abs(product.weight).max(axis=1 - product.summed) for product in products], axis=0)
    known = (largest > 0) & (weights > 0)
    found = np.where(known, largest, 1) ** alpha / np.where(known, weights, 1) ** (1 - alpha)
    return np.where(known, found, 1).astype(np.float32)


def _readers(graph: gs.Graph) -> dict[str, list[Product]]:
    found: dict[str, list[Product]] = {}
    for product in MATRICES.products(graph):
        if not product.node.attrs.get("transA", 0):
            found.setdefault(product.node.inputs[0].name, []).append(product)
    return found


def _norms(graph: gs.Graph) -> dict[str, Norm]:
    """By the tensor that a LayerNorm over the last axis writes, as an operator or written out."""
    return dict((*_fused(graph), *_written_out(graph)))


def _fused(graph: gs.Graph) -> Iterator[tuple[str, Norm]]:
    for node in graph.nodes:
        if node.op == FUSED and constant(node.inputs[1]) is not None and node.attrs.get("axis", -1) == -1:
            has_bias = len(node.inputs) > 2 and not node.inputs[2].is_empty()
            if not has_bias or constant(node.inputs[2]) is not None:
                yield node.outputs[0].name, Norm(node, 1, node if has_bias else None, 2)


def _written_out(graph: gs.Graph) -> Iterator[tuple[str, Norm]]:
    for match in layernorms(graph):
        last = match.output.inputs[0]
        add = last if match.bias is not None else None
        mul = next((node for tensor in last.inputs for node in tensor.inputs if node.op == "Mul"), None) if add else last
        if match.axis != -1 or constant(match.scale) is None or mul is None:
            continue
        scale, bias = _place(mul, match.scale), _place(last, match.bias)
        if scale is not None and (add is None or bias is not None):
            yield match.output.name, Norm(mul, scale, add, bias or 0)


def _place(node: gs.Node, tensor: gs.Tensor | None) -> int | None:
    return next((place for place, one in enumerate(node.inputs) if one is tensor), None)


def _divide(graph: gs.Graph, source: gs.Tensor, products: list[Product], norm: Norm, factors: Array) -> str:
    """What `source` divided is called: itself where the LayerNorm takes the division, else the output of a Mul."""
    readers = {id(product.node) for product in products}
    alone = all(id(node) in readers for node in source.outputs) and not any(source is output for output in graph.outputs)
    if alone:
        _scale(norm.node, norm.scale, factors, f"{source.name}/{SMOOTHED}_scale")
        if norm.bias_node is not None:
            _scale(norm.bias_node, norm.bias, factors, f"{source.name}/{SMOOTHED}_bias")
        return str(source.name)
    divided = gs.Variable(f"{source.name}/{SMOOTHED}", source.dtype, source.shape)
    inverse = gs.Constant(f"{source.name}/{SMOOTHED}_inverse", (1 / factors).astype(np.float32))
    graph.nodes.append(gs.Node("Mul", f"{source.name}/Smooth", {}, [source, inverse], [divided]))
    for product in products:
        product.node.inputs[0] = divided
    return str(divided.name)


def _scale(node: gs.Node, place: int, factors: Array, name: str) -> None:
    value = constant(node.inputs[place])
    assert value is not None
    node.inputs[place] = gs.Constant(name, (value / factors).astype(value.dtype))


def _multiply(product: Product, factors: Array) -> None:
    shape = [-1 if axis == product.summed else 1 for axis in range(product.weight.ndim)]
    weight = (product.weight * factors.reshape(shape)).astype(np.float32)
    product.node.inputs[1] = gs.Constant(f"{product.node.outputs[0].name}/{SMOOTHED}_weight", weight)
