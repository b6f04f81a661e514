"""Merge consecutive Slices into one, Slices that cut a tensor into pieces into a Split, and leave out those that take everything.

x[a:b][:, c:d] -> x[a:b, c:d]; x[a:b:p][c:d:q] -> x[a+pc : min(b, a+pd) : pq]; x[:, 0:3], x[:, 3:8] -> Split(x, [3, 5]); x[:] -> x

Bounds are constant. Where the size of an axis is known its elements are counted, else only what holds for every size is
merged: no end from behind after a start from behind.
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from variants.explain import decline
from variants.graph_pass import Stage, surgeon
from variants.rewriting.rewire import Wiring, nodes_of
from variants.rewriting.slicing import Span, spans, write
from variants.symbolic.infer import Facts, infer

SPLIT_IS_INPUT = 13
"""Opset from which on Split has its sizes as an input."""


def rewrite(graph: gs.Graph) -> tuple[gs.Graph, int]:
    """First to last, so that a chain ends as one; what else reads the tensor between keeps the first Slice."""
    if not any(nodes_of(graph, "Slice")):
        return graph, 0
    wiring, facts = Wiring(graph), infer(graph)
    count = sum(_merged(wiring, facts, node) for node in nodes_of(graph, "Slice"))
    wiring.sweep()
    return graph, count + sum(_split(wiring, facts, node) for node in nodes_of(graph, "Slice"))


def _merged(wiring: Wiring, facts: Facts, node: gs.Node) -> bool:
    first = wiring.producer(node.inputs[0], "Slice")
    own = spans(facts, node)
    if own is None:
        if first is not None:
            decline(node.outputs[0].name, "a Slice of a Slice whose bounds are computed")
        return False
    if all(_all_of(facts, node.inputs[0], axis, span) for axis, span in own.items()):
        return wiring.bypass(node, node.inputs[0])
    before = spans(facts, first) if first is not None else None
    if first is None or before is None:
        return False
    whole = dict(before)
    for axis, span in own.items():
        combined = before[axis].then(span, _size(facts, first.inputs[0], axis)) if axis in before else span
        if combined is None:
            decline(node.outputs[0].name, f"two Slices along axis {axis} of unknown size: no single one is the same for every size")
            return False
        whole[axis] = combined
    source = first.inputs[0]
    needed = {axis: span for axis, span in whole.items() if not _all_of(facts, source, axis, span)}
    return write(wiring, node, source, needed) if needed else wiring.bypass(node, source)


def _size(facts: Facts, tensor: gs.Tensor, axis: int) -> int | None:
    shape = facts.shape(tensor)
    return shape[axis].number if shape is not None and axis < len(shape) else None


def _all_of(facts: Facts, tensor: gs.Tensor, axis: int, span: Span) -> bool:
    size = _size(facts, tensor, axis)
    return span.everything if size is None else span.of(size) == range(size)


def _split(wiring: Wiring, facts: Facts, node: gs.Node) -> bool:
    """The Slices of one tensor that cut one axis into pieces, each element once, as the outputs of a Split."""
    source = node.inputs[0]
    pieces = [(other, spans(facts, other)) for other in _slices(wiring, source)]
    single = [(other, *next(iter(cut.items()))) for other, cut in pieces if cut is not None and len(cut) == 1]
    axes = {axis for other, axis, _ in single if other is node}
    axis = axes.pop() if axes else None
    size = None if axis is None else _size(facts, source, axis)
    if size is None:
        return False
    cuts = sorted(((span.of(size), other) for other, on, span in single if on == axis and span.step == 1), key=lambda cut: cut[0].start)
    if len(cuts) < 2 or [place for cut, _ in cuts for place in cut] != list(range(size)) or any(not len(cut) for cut, _ in cuts):
        return False
    sizes = [len(cut) for cut, _ in cuts]
    outputs = [other.outputs[0] for _, other in cuts]
    stem = outputs[0].name
    for _, other in cuts:
        other.outputs.clear()
    if wiring.graph.opset < SPLIT_IS_INPUT:
        wiring.add(gs.Node("Split", f"{stem}/Split", {"axis": axis, "split": sizes}, [source], outputs))
    else:
        held = wiring.constant(np.array(sizes, np.int64), f"{stem}/sizes")
        wiring.add(gs.Node("Split", f"{stem}/Split", {"axis": axis}, [source, held], outputs))
    return True


def _slices(wiring: Wiring, source: gs.Tensor) -> list[gs.Node]:
    return [node for node in wiring.readers(source) if node.op == "Slice" and node.inputs[0] is source and id(node) in wiring.here]


merge_slices = surgeon(rewrite, stage=Stage.LAYOUT)
