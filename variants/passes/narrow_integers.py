"""Compute with 32-bit integers where 64-bit ones are not needed: positions, masks' comparisons, indices.

Gather(T, Add(Range(0, n), o)) in int64 -> the same in int32

TensorRT and ONNX Runtime compute both; half the bytes move. Proven by interval arithmetic, or by being read as an index only
(variants/rewriting/integers.py). Shapes stay int64, as ONNX wants them, and so do the graph's inputs and outputs. A border Cast reads 8
bytes and writes 4 for each element, a narrow node saves 4 written and 4 read: a group of nodes is narrowed where that pays.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from variants.explain import decline
from variants.graph import constant
from variants.graph_pass import Stage, surgeon
from variants.rewriting.integers import LONGEST, Narrowing, candidates, groups, positions
from variants.symbolic.bounds import Bounds
from variants.symbolic.infer import infer

CAST_BYTES, NODE_BYTES = 8 + 4, 4 + 4
OPSET = 12
"""Min, Max, Clip and the comparisons take int32 since."""


def rewrite(graph: gs.Graph) -> tuple[gs.Graph, int]:
    """Counts the nodes that compute with 32 bits; tensors that are not proven to fit keep 64."""
    if graph.opset < OPSET:
        return graph, 0
    bounds = Bounds(infer(graph, free=(0, LONGEST)))
    narrowing = Narrowing(bounds, {id(node) for node in graph.nodes}, candidates(graph, bounds))
    asked = dict(narrowing.narrow)
    narrowing.settle()
    for key, tensor in asked.items():
        if key not in narrowing.narrow and not narrowing.fits(tensor):
            decline(tensor.name, "its values are not proven to fit 32 bits")
    for part in groups(narrowing, graph):
        if not _pays(narrowing, part):
            if len(part) > 1:
                decline(part[0].outputs[0].name, "the Casts around it would move more bytes than it saves")
            for node in part:
                for tensor in (*node.outputs, *node.inputs):
                    narrowing.narrow.pop(id(tensor), None)
    return graph, _Writer(graph, narrowing).write() if narrowing.narrow else 0


def _pays(narrowing: Narrowing, part: list[gs.Node]) -> bool:
    inward = {id(t) for node in part for t in narrowing.inward(node) if constant(t) is None and not _is_lone_cast(t)}
    outward = {id(t) for node in part for t in node.outputs if id(t) in narrowing.narrow and narrowing.outward(t)}
    gone = sum(_is_void(node) for node in part)
    saving = [node for node in part if node.op != "Cast"]
    return len(saving) * NODE_BYTES > (len(inward) + len(outward) - gone) * CAST_BYTES


def _is_lone_cast(tensor: gs.Tensor) -> bool:
    """A Cast that one node reads: it may as well cast to 32 bits, at no cost."""
    return len(tensor.inputs) == 1 and tensor.inputs[0].op == "Cast" and len(tensor.outputs) == 1


def _is_void(node: gs.Node) -> bool:
    """A Cast of what is 32 bits wide already."""
    return node.op == "Cast" and node.inputs[0].dtype is not None and np.dtype(node.inputs[0].dtype) == np.int32


class _Writer:
    """Turns the tensors of a settled narrowing into int32."""

    def __init__(self, graph: gs.Graph, narrowing: Narrowing) -> None:
        self.graph, self.narrowing = graph, narrowing
        self.copies: dict[int, gs.Tensor] = {}

    def write(self) -> int:
        """How many nodes compute with 32 bits."""
        joining = [node for node in self.graph.nodes if self.narrowing.joins(node)]
        outward = [(tensor, self.narrowing.outward(tensor)) for tensor in self.narrowing.narrow.values()]
        for node in joining:
            for place in positions(node):
                if place < len(node.inputs) and not node.inputs[place].is_empty() and id(node.inputs[place]) not in self.narrowing.narrow:
                    node.inputs[place] = self._narrowed(node.inputs[place])
        for tensor, readers in outward:
            if readers:
                self._widened(tensor, readers)
        for node in joining:
            self._retyped(node)
        return len(joining)

    def _narrowed(self, tensor: gs.Tensor) -> gs.Tensor:
        if id(tensor) not in self.copies:
            name, known = f"{tensor.name}/int32", constant(tensor)
            if known is not None:
                self.copies[id(tensor)] = gs.Constant(name, known.astype(np.int32))
            else:
                self.copies[id(tensor)] = gs.Variable(name, np.int32, tensor.shape)
                source = tensor.inputs[0].inputs[0] if _is_lone_cast(tensor) else tensor
                to = {"to": onnx.TensorProto.INT32}
                self.graph.nodes.append(gs.Node("Cast", f"{name}/Cast", to, [source], [self.copies[id(tensor)]]))
        return self.copies[id(tensor)]

    def _widened(self, tensor: gs.Tensor, readers: list[gs.Node]) -> None:
        wide = gs.Variable(f"{tensor.name}/int64", np.int64, tensor.shape)
        for node in readers:
            keep = positions(node) if self.narrowing.joins(node) else ()
            for place in [place for place, t in enumerate(node.inputs) if t is tensor and place not in keep]:
                node.inputs[place] = wide
        self.graph.nodes.append(gs.Node("Cast", f"{wide.name}/Cast", {"to": onnx.TensorProto.INT64}, [tensor], [wide]))

    def _retyped(self, node: gs.Node) -> None:
        for tensor in node.outputs:
            if id(tensor) in self.narrowing.narrow:
                tensor.dtype = np.dtype(np.int32)
        if node.op == "Cast":
            node.attrs["to"] = onnx.TensorProto.INT32
            if _is_void(node):
                node.op, node.attrs = "Identity", {}
        if node.op == "ConstantOfShape":
            fill = node.attrs["value"]
            node.attrs["value"] = gs.Constant(f"{node.outputs[0].name}/fill", np.asarray(getattr(fill, "values", fill)).astype(np.int32))


narrow_integers = surgeon(rewrite, stage=Stage.AHEAD)
