"""What raising the opset of a graph keeps, and what it makes known."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from tests.variants.arithmetic import call, written
from tests.variants.graphs import equal_outputs, operators, opset, run
from variants.functions import carried
from variants.graph import exported, shaped
from variants.opset import raised
from variants.passes.layernorm_plugin import layernorm_plugin

mean, operator = call("ReduceMean"), call("LayerNormalization")
SCALE = np.linspace(0.5, 2, 8, dtype=np.float32)


def test_an_attribute_that_becomes_an_input_is_an_initializer_and_no_node() -> None:
    graph = written(lambda x: x - mean(x, axes=[-1]))
    after = exported(raised(shaped(graph), 20))
    assert (opset(after), operators(after)) == (20, ["ReduceMean", "Sub"])
    onnx.checker.check_model(after, full_check=True)
    equal_outputs(graph, after)


def test_a_constant_node_of_the_graph_stays_one() -> None:
    graph = written(lambda x: x * 2.0, as_nodes=True)
    assert operators(exported(raised(shaped(graph), 20))) == ["Constant", "Mul"]


def test_a_graph_of_that_opset_or_a_later_one_is_returned_as_it_is() -> None:
    graph = shaped(written(lambda x: x * 2.0, opset=20))
    assert raised(graph, 17) is graph


def test_a_function_comes_along_and_ours_is_of_the_new_opset() -> None:
    placed, _ = layernorm_plugin.at("v1_tree").run(written(lambda x: operator(x, SCALE), opset=17))
    after = exported(raised(shaped(placed), 22))
    assert [(f.name, f.opset_import[0].version) for f in after.functions] == [("layernorm_affine", 22)]
    equal_outputs(placed, after)


def test_a_function_of_someone_else_keeps_its_opset() -> None:
    """What its operators mean at another one is not ours to say: ReduceMean had its axes as an attribute."""
    body = [helper.make_node("ReduceMean", ["x"], ["y"], axes=[-1])]
    theirs = helper.make_function("theirs", "Centre", ["x"], ["y"], body, [helper.make_opsetid("", 13)])
    graph = written(lambda x: x - mean(x, axes=[-1]))
    graph.graph.node[0].CopyFrom(helper.make_node("Centre", ["x"], list(graph.graph.node[0].output), name="c", domain="theirs"))
    graph.functions.append(theirs)
    graph.opset_import.append(helper.make_opsetid("theirs", 1))
    functions = carried(shaped(graph).functions, 20)
    assert [(function.name, function.opset) for function in functions] == [("Centre", 13)]
    assert list(run(graph, {"x": np.ones((1, 4, 8), np.float32)})) == ["y"]
