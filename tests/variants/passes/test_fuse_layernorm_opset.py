"""What fusing LayerNorm does to the opset of a graph, and to the rest of the graph with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper

from common.errors import UserError
from tests.variants.graphs import Norm, affine, body, equal_outputs, layernorm, model, node, operators, opset, value, with_nodes
from variants.passes.fuse_layernorm import fuse_layernorm

NORM = Norm()


def test_the_opset_moves_to_17_only_when_something_was_fused() -> None:
    assert opset(fuse_layernorm.run(layernorm())[0]) == 17
    assert opset(fuse_layernorm.run(layernorm(two=np.float32(3)))[0]) == 13
    assert opset(fuse_layernorm.run(layernorm(replace(NORM, axes_are_inputs=True), opset=18))[0]) == 18


def test_an_old_opset_is_raised_and_the_rest_of_the_graph_keeps_its_meaning() -> None:
    graph = model([*Norm(output="h").nodes(), node("Softmax", "h", "y", axis=1)], affine(), opset=11)
    after, rewrites = fuse_layernorm.run(graph)
    assert (rewrites, opset(after)) == (1, 17)
    equal_outputs(graph, after)


def test_an_old_opset_is_raised_inside_branches_too() -> None:
    squeeze = [node("Unsqueeze", "h", "wide", axes=[0]), node("Squeeze", "wide", "t", axes=[0])]
    nodes = [
        *Norm(output="h").nodes(),
        node("ReduceSum", "x", "sum", keepdims=0),
        node("Greater", "sum nought", "positive"),
        node(
            "If",
            "positive",
            "y",
            then_branch=body("then", squeeze, [value("t")]),
            else_branch=body("else", [node("Relu", "x", "e")], [value("e")]),
        ),
    ]
    graph = model(nodes, affine() | {"nought": np.float32(0)}, opset=11)
    after, rewrites = fuse_layernorm.run(graph)
    assert (rewrites, opset(after)) == (1, 17)
    onnx.checker.check_model(after, full_check=True)
    equal_outputs(graph, after)


def test_operators_of_another_domain_stay() -> None:
    graph = with_nodes(Norm(output="h"), node("Relu", "h", "y"))
    graph.graph.node[-1].MergeFrom(onnx.NodeProto(op_type="Gelu", domain="com.microsoft"))
    graph.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    after, rewrites = fuse_layernorm.run(graph)
    assert (rewrites, operators(after)) == (1, ["LayerNormalization", "Gelu"])
    equal_outputs(graph, after)


def test_a_graph_with_nothing_to_fuse_need_not_be_raised() -> None:
    graph = model([node("Relu", "x", "y")])
    graph.graph.node[0].op_type = "NoSuchOperator"
    assert fuse_layernorm.run(graph) == (graph, 0)


def test_an_opset_that_cannot_be_raised_is_refused_with_the_next_action() -> None:
    graph = with_nodes(Norm(output="h"), node("Relu", "h", "y"))
    graph.graph.node[-1].op_type = "NoSuchOperator"
    with pytest.raises(UserError, match=r"cannot be raised from opset 13 to 17 \(.+\): export it at opset 17"):
        fuse_layernorm.run(graph)
