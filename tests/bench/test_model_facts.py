"""What a model computes and moves, counted by hand."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from bench.graph_size import graph_size
from bench.model_facts import model_facts
from tests.variants.graphs import model, node, value

WIDTH, ROWS = 8, 5


def doubled(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    return model(nodes, inputs=(value("x", ("batch", WIDTH)),), outputs=(value("y", ("batch", WIDTH)),))


def facts(tmp_path: Path, *nodes: onnx.NodeProto) -> tuple[int, int, int]:
    """Operations, bytes and nodes of unknown cost at a batch of 5."""
    graph = doubled(*nodes)
    graph.opset_import.append(onnx.helper.make_opsetid("nobody", 1))
    file = tmp_path / "model.onnx"
    onnx.save(graph, file)
    found = model_facts(file, graph_size(graph), 7, {"batch": ROWS})
    assert (found.sizes, found.parameters, found.size.nodes) == ("batch 5", 7, len(nodes))
    return found.operations, found.bytes_moved, found.unknown


def test_an_addition_is_one_operation_an_element_and_moves_three_tensors(tmp_path: Path) -> None:
    assert facts(tmp_path, node("Add", "x x", "y")) == (ROWS * WIDTH, 3 * 4 * ROWS * WIDTH, 0)


def test_a_node_whose_shapes_nobody_knows_is_counted_and_not_summed(tmp_path: Path) -> None:
    graph = doubled(node("Sigmoid", "x", "h"), node("Relu", "h", "y"))
    graph.graph.node[0].op_type, graph.graph.node[0].domain = "Nobody", "nobody"
    graph.opset_import.append(onnx.helper.make_opsetid("nobody", 1))
    onnx.save(graph, tmp_path / "m")
    found = model_facts(tmp_path / "m", graph_size(graph), 0, {"batch": ROWS})
    assert (found.unknown, found.operations, found.bytes_moved) == (2, 0, 0)


@pytest.mark.parametrize("rows", [1, 3])
def test_operations_grow_with_the_batch(tmp_path: Path, rows: int) -> None:
    graph = doubled(node("Relu", "x", "y"))
    onnx.save(graph, tmp_path / "m")
    assert model_facts(tmp_path / "m", graph_size(graph), 0, {"batch": rows}).operations == rows * WIDTH
