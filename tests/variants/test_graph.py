"""The questions that passes and precisions ask of a graph."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from onnx import helper, numpy_helper

from tests.variants.graphs import Norm, affine, branch, loop, model, node, value
from variants.graph import constant, graphs, only_consumer, scalar, split_constant, with_opset


def imported(*nodes: onnx.NodeProto, outputs: tuple[onnx.ValueInfoProto, ...] = (value("y"),)) -> gs.Graph:
    held = numpy_helper.from_array(np.array([1, 2], np.float32), "k")
    return gs.import_onnx(model([helper.make_node("Constant", [], ["k"], value=held), *nodes], outputs=outputs))


def tensor(graph: gs.Graph, name: str) -> gs.Tensor:
    return graph.tensors()[name]


def test_a_constant_is_known_through_constant_and_identity_nodes() -> None:
    graph = imported(node("Identity", "k", "i"), node("Identity", "i", "j"), node("ReduceSum", "j", "s"), node("Add", "x s", "y"))
    for name in ("k", "i", "j"):
        found = constant(tensor(graph, name))
        assert found is not None
        assert found.tolist() == [1, 2]
    assert constant(tensor(graph, "s")) is None
    assert constant(tensor(graph, "x")) is None


def test_a_constant_of_another_form_is_not_guessed() -> None:
    graph = gs.import_onnx(model([helper.make_node("Constant", [], ["k"], value_float=2.0), node("Add", "x k", "y")]))
    assert constant(tensor(graph, "k")) is None


@pytest.mark.parametrize(("held", "expected"), [(3, 3.0), ([4], 4.0), ([[5]], 5.0), ([1, 2], None)])
def test_a_scalar_has_one_element(held: object, expected: float | None) -> None:
    assert scalar(gs.Constant("k", np.array(held, np.float32))) == expected


@pytest.mark.parametrize("inputs", ["x k", "k x"])
def test_the_constant_of_a_commutative_node_is_found_on_either_side(inputs: str) -> None:
    graph = gs.import_onnx(model([node("Mul", inputs, "y")], {"k": np.ones(8, np.float32)}))
    found = split_constant(graph.nodes[0])
    assert found is not None
    assert found[0].name == "x"
    assert found[1].tolist() == [1] * 8


def test_two_constants_or_none_are_not_split() -> None:
    assert split_constant(gs.import_onnx(model([node("Mul", "x x", "y")])).nodes[0]) is None
    both = model([node("Mul", "a b", "c"), node("Add", "x c", "y")], {"a": np.float32(1), "b": np.float32(2)})
    assert split_constant(gs.import_onnx(both).nodes[0]) is None


def test_a_tensor_with_a_second_reader_has_no_only_consumer() -> None:
    graph = gs.import_onnx(model([node("Exp", "x", "h"), node("Relu", "h", "y")]))
    reader = only_consumer(graph, tensor(graph, "h"), "Relu")
    assert reader is not None
    assert reader.op == "Relu"
    assert only_consumer(graph, tensor(graph, "h"), "Exp") is None
    twice = gs.import_onnx(model([node("Exp", "x", "h"), node("Relu", "h", "y"), node("Neg", "h", "z")], outputs=[value("y"), value("z")]))
    assert only_consumer(twice, tensor(twice, "h"), "Relu") is None
    shown = gs.import_onnx(model([node("Exp", "x", "h"), node("Relu", "h", "y")], outputs=[value("y"), value("h")]))
    assert only_consumer(shown, tensor(shown, "h"), "Relu") is None


def test_every_body_of_a_graph_is_visited() -> None:
    assert [g.name for g in graphs(loop().graph)] == ["graph", "body"]
    inner = branch([node("Relu", "x", "t")], [node("Exp", "x", "e")]).graph
    assert sorted(g.name for g in graphs(inner)) == ["else", "graph", "then"]
    assert len(list(graphs(model(Norm().nodes(), affine()).graph))) == 1


def test_what_the_version_converter_adds_to_a_graph_of_named_nodes_has_a_name_too() -> None:
    raised = with_opset(gs.import_onnx(model(Norm().nodes(), affine())), 20)
    assert any(node.op == "Constant" for node in raised.nodes), "axes are an input since 18"
    assert all(node.name for node in raised.nodes)
    assert len({node.name for node in raised.nodes}) == len(raised.nodes)
