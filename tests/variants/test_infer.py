"""Inferred shapes and values against those that ONNX Runtime finds when the graph runs."""

from __future__ import annotations

import math

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest

from tests.variants import obstacles
from tests.variants.graphs import copy, feeds, model, node, run, small_graphs, value
from tests.variants.more_graphs import ahead
from variants.graph import with_shapes
from variants.symbolic.infer import Facts, infer
from variants.symbolic.sizes import Size
from variants.variant import Array

GRAPHS = small_graphs() | ahead.graphs() | {"a mask": obstacles.sliced_mask(), "a pad": obstacles.padded()}


def observed(graph: onnx.ModelProto, batch: int) -> dict[str, Array]:
    """What every tensor of the main graph is at this batch."""
    shown = copy(graph)
    del shown.graph.output[:]
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for made in shown.graph.node for name in made.output if name)
    return run(shown, feeds(graph, batch))


def fits(facts: Facts, size: Size, actual: int, batch: int) -> bool:
    low, high = facts.spans.span(size)
    known = all(name in ("batch", "time", "height", "width", "length", "n") for names, _ in size.terms for name in names)
    exact = sum(factor * batch ** len(names) for names, factor in size.terms)
    return low <= actual <= high and (not known or actual == exact)


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("batch", [1, 3])
def test_every_inferred_shape_and_value_is_what_the_run_has(name: str, batch: int) -> None:
    graph = gs.import_onnx(with_shapes(GRAPHS[name]))
    facts = infer(graph)
    found = observed(GRAPHS[name], batch)
    for tensor in graph.tensors().values():
        if tensor.name not in found:
            continue
        actual, shape, values = found[tensor.name], facts.shape(tensor), facts.value(tensor)
        if shape is not None:
            assert len(shape) == actual.ndim
            assert all(fits(facts, size, length, batch) for size, length in zip(shape, actual.shape, strict=True)), tensor.name
        for element, number in zip([] if values is None else values.reshape(-1), actual.reshape(-1), strict=values is not None):
            assert fits(facts, element, int(number), batch) if isinstance(element, Size) else element == bool(number)


def test_the_time_behind_a_reshape_of_computed_sizes_is_still_known() -> None:
    graph = gs.import_onnx(with_shapes(ahead.reshaped()))
    facts = infer(graph)
    assert [str(size) for size in facts.shape(graph.outputs[0]) or ()] == ["1*batch", "1*time", "8"]


def test_a_subsampled_length_is_bounded_by_the_range_of_the_frames() -> None:
    shape = ("batch", 1, "frames", 8)
    nodes = [node("Conv", "x w", "h", strides=[2, 1]), node("Conv", "h w", "y", strides=[2, 1])]
    graph = model(nodes, {"w": np.ones((1, 1, 3, 3), np.float32)}, [value("x", shape)], [value("y", ("batch", 1, "time", 4))])
    imported = gs.import_onnx(with_shapes(graph))
    facts = infer(imported, {"frames": (7, 300, 1200)})
    assert facts.spans.span((facts.shape(imported.outputs[0]) or ())[2]) == (1, 299)
    unbounded = infer(imported)
    assert unbounded.spans.span((unbounded.shape(imported.outputs[0]) or ())[2])[1] == math.inf


def test_a_node_that_its_operator_does_not_allow_leaves_what_is_behind_it_unknown() -> None:
    graph = gs.import_onnx(with_shapes(model([node("Transpose", "x", "y", perm=[0, 2, 1])], outputs=[value("y", ("batch", 8, 4))])))
    graph.nodes[0].attrs["perm"] = [0, 2, 7]
    graph.outputs[0].shape = None
    assert infer(graph).shape(graph.outputs[0]) is None


def test_a_zero_that_copies_a_size_nobody_knows_is_unknown_not_nothing() -> None:
    found = gs.import_onnx(model([node("Relu", "x", "odd"), node("Reshape", "odd to", "y")], {"to": np.array([0, 0, 8], np.int64)}))
    found.nodes[0].op, found.nodes[0].domain, found.nodes[0].outputs[0].shape = "Odd", "nobody", None
    shape = infer(found).shape(found.outputs[0])
    assert shape is not None
    assert [size.number for size in shape] == [None, None, 8]


def test_shapes_go_on_behind_operators_that_are_not_onnxs() -> None:
    """As ONNX Runtime has them: attention whose values are wider than its queries, a norm with its sum, a bias with its GELU."""
    ms = "com.microsoft"
    nodes = [
        node("MultiHeadAttention", "x x wide", "mixed", domain=ms, num_heads=2),
        node("SkipLayerNormalization", "mixed wide ones", "normed", domain=ms),
        node("BiasGelu", "total ones", "y", domain=ms),
    ]
    nodes[1].output.extend(["", "", "total"])
    made = model([node("Identity", "x", "y")], {"ones": np.ones(16, np.float32)}, [value("x"), value("wide", ("batch", 4, 16))])
    del made.graph.node[:], made.graph.output[:]
    made.graph.node.extend(nodes)
    made.graph.output.append(value("y", ("batch", 4, 16)))
    made.opset_import.append(onnx.helper.make_opsetid(ms, 1))
    found = gs.import_onnx(made)
    facts = infer(found)
    shown = {t.name: [str(size) for size in facts.shape(t) or ()] for n in found.nodes for t in n.outputs if t.name}
    assert shown == {name: ["1*batch", "4", "16"] for name in ("mixed", "normed", "total", "y")}
    assert all(array.shape == (3, 4, 16) for array in observed(made, 3).values())
