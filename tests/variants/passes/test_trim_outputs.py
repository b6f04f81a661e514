"""Which outputs go, what goes with them, and what stays."""

from __future__ import annotations

import numpy as np
import onnx

from tests.variants.graphs import branch, feeds, model, node, operators, run, value
from variants.explain import listening
from variants.graph_pass import Setting
from variants.passes.trim_outputs import trim_outputs

WANTED = Setting(outputs=("y",))


def two_outputs() -> onnx.ModelProto:
    """y = relu(exp(x)), z = tanh(sqrt(exp(x)) + other)."""
    nodes = [node("Exp", "x", "h"), node("Relu", "h", "y"), node("Sqrt", "h", "s"), node("Add", "s other", "t"), node("Tanh", "t", "z")]
    return model(nodes, inputs=[value("x"), value("other")], outputs=[value("y"), value("z")])


def test_an_output_goes_with_all_that_feeds_nothing_else() -> None:
    graph = two_outputs()
    after, rewrites = trim_outputs.fitted(WANTED).run(graph)
    assert rewrites == 1
    assert operators(after) == ["Exp", "Relu"]
    assert [output.name for output in after.graph.output] == ["y"]
    given = feeds(graph, 2)
    np.testing.assert_array_equal(run(after, given)["y"], run(graph, given)["y"])


def test_an_input_that_feeds_nothing_any_more_stays() -> None:
    after, _ = trim_outputs.fitted(WANTED).run(two_outputs())
    assert [given.name for given in after.graph.input] == ["x", "other"]


def test_without_a_word_of_what_is_asked_for_everything_stays() -> None:
    graph = two_outputs()
    assert trim_outputs.run(graph) == (graph, 0)
    assert trim_outputs.fitted(Setting(outputs=("z", "y"))).run(graph) == (graph, 0)


def test_a_second_run_finds_nothing() -> None:
    after, _ = trim_outputs.fitted(WANTED).run(two_outputs())
    assert trim_outputs.fitted(WANTED).run(after) == (after, 0)


def test_an_output_that_the_graph_has_not_is_named_and_nothing_goes() -> None:
    with listening() as declined:
        assert trim_outputs.fitted(Setting(outputs=("y", "missing"))).run(two_outputs())[1] == 0
    assert declined == ["missing: is asked for, but is no output of the graph: which others may go is in doubt"]


def test_the_order_of_the_outputs_that_stay_is_the_graphs() -> None:
    graph = model([node("Relu", "x", "y"), node("Exp", "x", "z"), node("Tanh", "x", "w")], outputs=[value("y"), value("z"), value("w")])
    after, _ = trim_outputs.fitted(Setting(outputs=("w", "y"))).run(graph)
    assert [output.name for output in after.graph.output] == ["y", "w"]


def test_an_output_that_a_kept_one_is_made_of_is_still_computed() -> None:
    graph = model([node("Exp", "x", "z"), node("Relu", "z", "y")], outputs=[value("z"), value("y")])
    after, rewrites = trim_outputs.fitted(WANTED).run(graph)
    assert rewrites == 1
    assert operators(after) == ["Exp", "Relu"]


def test_what_only_a_branch_reads_stays() -> None:
    graph = branch([node("Relu", "h", "t")], [node("Add", "h x", "e")], [node("Exp", "x", "h"), node("Tanh", "h", "z")])
    graph.graph.output.append(value("z"))
    after, rewrites = trim_outputs.fitted(WANTED).run(graph)
    assert rewrites == 1
    assert "Exp" in operators(after)
    assert "Tanh" not in operators(after)
    given = feeds(graph, 2)
    np.testing.assert_array_equal(run(after, given)["y"], run(graph, given)["y"])
