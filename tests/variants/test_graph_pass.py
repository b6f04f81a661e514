"""How a pass counts its rewrites and keeps its promises whatever its rewrite does."""

from __future__ import annotations

import onnx
import onnx_graphsurgeon as gs
import pytest

from common.errors import UserError
from tests.variants.graphs import branch, copy, model, node, operators, value
from variants.graph_pass import cleaner, surgeon

GRAPH = model([node("Relu", "x", "h"), node("Exp", "h", "y")])


def test_rewrites_of_a_cleaner_are_the_nodes_that_went_and_came() -> None:
    after, rewrites = cleaner(lambda _: model([node("Neg", "x", "y")]), "library").run(GRAPH)
    assert operators(after) == ["Neg"]
    assert rewrites == 3, "Relu and Exp went, Neg came"


def test_a_cleaner_that_changes_a_body_only_has_rewritten_something() -> None:
    before = branch([node("Relu", "x", "t")], [node("Exp", "x", "e")])
    after = branch([node("Neg", "x", "t")], [node("Exp", "x", "e")])
    assert cleaner(lambda _: after, "library").run(before)[1] == 2


def test_a_cleaner_that_edits_in_place_does_not_reach_its_argument() -> None:
    def clean(given: onnx.ModelProto) -> onnx.ModelProto:
        given.graph.node[0].op_type = "Neg"
        return given

    before = copy(GRAPH)
    after, rewrites = cleaner(clean, "library").run(before)
    assert (operators(after), rewrites) == (["Neg", "Exp"], 2)
    assert before == GRAPH


def test_an_input_that_a_cleaner_drops_is_put_back() -> None:
    before = model([node("Relu", "x", "y")], inputs=[value("unread"), value("x")])
    after, rewrites = cleaner(lambda _: model([node("Relu", "x", "y")]), "library").run(before)
    assert {v.name for v in after.graph.input} == {"x", "unread"}
    assert rewrites == 0
    onnx.checker.check_model(after, full_check=True)


def test_a_surgeon_that_rewrites_nothing_gives_back_the_very_model() -> None:
    def spoil(graph: gs.Graph) -> tuple[gs.Graph, int]:
        graph.nodes.clear()
        return graph, 0

    before = copy(GRAPH)
    after, rewrites = surgeon(spoil).run(before)
    assert after is before
    assert (before, rewrites) == (GRAPH, 0)


def test_what_a_surgeon_cut_off_is_cleaned_away() -> None:
    def bypass(graph: gs.Graph) -> tuple[gs.Graph, int]:
        relu, exp = graph.nodes
        exp.inputs[0] = relu.inputs[0]
        return graph, 1

    after, rewrites = surgeon(bypass).run(GRAPH)
    assert (operators(after), rewrites) == (["Exp"], 1)


def test_a_library_that_fails_is_named_with_its_version_and_the_way_out() -> None:
    def clean(given: onnx.ModelProto) -> onnx.ModelProto:
        raise RuntimeError("ir.h:669:\n assertion failed")

    with pytest.raises(UserError, match=r"^onnxslim \S+ fails on this graph \(ir\.h:669: assertion failed\): leave it out$"):
        cleaner(clean, "onnxslim").run(GRAPH)


def test_shapes_that_a_library_left_although_they_hold_no_more_are_dropped() -> None:
    def clean(given: onnx.ModelProto) -> onnx.ModelProto:
        given.graph.value_info.append(value("h", ("batch", 3, 5)))
        return given

    after, _ = cleaner(clean, "library").run(GRAPH)
    assert not after.graph.value_info
    onnx.checker.check_model(after, full_check=True)


def test_a_surgeon_sees_no_node_that_nobody_reads() -> None:
    seen: list[str] = []

    def look(graph: gs.Graph) -> tuple[gs.Graph, int]:
        seen.extend(node.op for node in graph.nodes)
        return graph, 0

    dead = model([node("Relu", "x", "h"), node("Exp", "h", "y"), node("Neg", "h", "unread")])
    after, _ = surgeon(look).run(dead)
    assert seen == ["Relu", "Exp"]
    assert after is dead
