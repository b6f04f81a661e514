"""Pad channels and hidden sizes with zero weights to a multiple of 8, 16 or 32, as tensor cores want them.

MatMul(f(MatMul(x, W) + b), V) -> MatMul(f(MatMul(x, [W 0]) + [b 0]), [V; 0])

The same in exact arithmetic, as a product by zero adds nothing; a kernel of another shape may sum in another order. A tensor
whose other readers need its channels as they were is cropped by a Slice. A product that becomes aligned counts 1, a Slice 2,
for it reads and writes the whole tensor: padding is done where products outweigh Slices and channels at most double.
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from variants.explain import decline
from variants.graph import constant
from variants.graph_pass import Stage, option_surgeon
from variants.rewriting.channels import Region, made_axis, made_channels, region
from variants.symbolic.infer import infer
from variants.variant import Array

CROP_COST = 2
MOST_GROWTH = 2
OPSET = 10
"""A Slice takes its ends as inputs since."""


def rewrite(graph: gs.Graph, option: str) -> tuple[gs.Graph, int]:
    """Counts the regions of channels that are padded."""
    if graph.opset < OPSET:
        return graph, 0
    multiple, count = int(option), 0
    facts = infer(graph)
    seen: set[int] = set()
    for node in list(graph.nodes):
        channels = made_channels(node)
        if channels % multiple == 0 or id(node) in seen:
            continue
        found = region(facts, graph, node)
        seen |= found.makers.keys()
        padded = -(-channels // multiple) * multiple
        if why := _why_not(found, padded):
            decline(node.outputs[0].name, why)
            continue
        _Padder(graph, found, padded).pad()
        count += 1
    return graph, count


def _why_not(found: Region, padded: int) -> str:
    products, crops = len(found.makers) + len(found.sums), len(found.cropped)
    if found.obstacle:
        return found.obstacle
    if padded > MOST_GROWTH * found.count:
        return f"{found.count} channels would become {padded}, more than twice as many"
    if products <= CROP_COST * crops:
        return f"Slices that crop its {found.count} channels again: {crops}, products that would be aligned: {products}"
    return ""


class _Padder:
    """Pads the constants of one region."""

    def __init__(self, graph: gs.Graph, found: Region, padded: int) -> None:
        self.graph, self.found, self.padded = graph, found, padded
        self.copies: dict[tuple[int, int, float], gs.Constant] = {}

    def pad(self) -> None:
        """Weights, then what is in between, then the crops."""
        for node in self.found.makers.values():
            self._widen(node, 1, made_axis(node))
            if len(node.inputs) > 2 and (constant(node.inputs[2]) is not None and _array(node.inputs[2]).size != 1):
                self._widen(node, 2, -1)
        for node in self.found.sums.values():
            self._widen(node, 1, 1 - made_axis(node))
        for node in self.found.through.values():
            self._between(node)
        for tensor in self.found.tensors:
            if tensor.shape is not None:
                tensor.shape = [self.padded if axis == self.found.axis[id(tensor)] else size for axis, size in enumerate(tensor.shape)]
        for tensor in self.found.cropped.values():
            self._crop(tensor)

    def _between(self, node: gs.Node) -> None:
        if node.op == "Conv":
            node.attrs["group"] = self.padded
            for place in range(1, len(node.inputs)):
                self._widen(node, place, 0)
            return
        output = node.outputs[0]
        back = self.found.axis[id(output)] - self.found.rank[id(output)]
        for place, tensor in enumerate(node.inputs):
            value = constant(tensor) if id(tensor) not in self.found.axis else None
            if value is not None and value.ndim >= -back and value.shape[back] == self.found.count:
                self._widen(node, place, back, 1 if node.op in ("Div", "Pow") and place == 1 else 0)

    def _widen(self, node: gs.Node, place: int, axis: int, fill: float = 0) -> None:
        """Shared weights stay shared."""
        tensor = node.inputs[place]
        value = _array(tensor)
        key = (id(tensor), axis % value.ndim, fill)
        if key not in self.copies:
            amounts = [(0, self.padded - self.found.count if number == axis % value.ndim else 0) for number in range(value.ndim)]
            name = f"{tensor.name}/padded {axis % value.ndim}:{self.padded}/{node.outputs[0].name}"
            self.copies[key] = gs.Constant(name, np.pad(value, amounts, constant_values=fill))
        node.inputs[place] = self.copies[key]

    def _crop(self, tensor: gs.Tensor) -> None:
        """Readers outside the region, and the world, get the channels as they were."""
        inside = self.found.sums.keys() | self.found.through.keys()
        axis, name = self.found.axis[id(tensor)], tensor.name
        is_output = any(tensor is output for output in self.graph.outputs)
        wide = gs.Variable(f"{name}/padded", tensor.dtype, tensor.shape) if is_output else tensor
        narrow = tensor if is_output else gs.Variable(f"{name}/cropped", tensor.dtype)
        narrow.shape = [self.found.count if number == axis else size for number, size in enumerate(tensor.shape)] if tensor.shape else None
        moved = [node for node in tensor.outputs if (id(node) in inside) == is_output]
        if is_output:
            maker = tensor.inputs[0]
            maker.outputs[list(maker.outputs).index(tensor)] = wide
        for node in moved:
            for place in [place for place, given in enumerate(node.inputs) if given is tensor]:
                node.inputs[place] = wide if is_output else narrow
        ends = [
            gs.Constant(f"{name}/crop/{part}", np.array([number], np.int64))
            for part, number in (("start", 0), ("end", self.found.count), ("axis", axis))
        ]
        self.graph.nodes.append(gs.Node("Slice", f"{name}/Slice", {}, [wide, *ends], [narrow]))


def _array(tensor: gs.Tensor) -> Array:
    value = constant(tensor)
    if value is None:
        raise TypeError(f"{tensor.name} is no constant")
    return value


pad_channels = option_surgeon(rewrite, ("8", "16", "32"), stage=Stage.ALIGN, routine=False)
