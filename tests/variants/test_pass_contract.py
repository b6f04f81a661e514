"""The contract itself: a pass that breaks any of its clauses is found, on one small graph."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest

from common.discover import Declared
from common.errors import UserError
from tests.variants.graphs import copy, model, node, value
from tests.variants.pass_contract import broken, setting, small_feeds
from variants.graph_pass import GraphPass, Setting, fitted_surgeon, surgeon

GRAPH = model([node("MatMul", "x w", "h"), node("Add", "h c", "y")], {"w": np.eye(8, dtype=np.float32) * 2, "c": np.ones(8, np.float32)})


def judged(graph_pass: GraphPass, graph: onnx.ModelProto = GRAPH) -> str:
    return broken(Declared("one", "One", "digest", graph_pass), graph, small_feeds(graph), setting(graph))


def rewriting(rewrite: Callable[[gs.Graph], None], changes: str = "") -> GraphPass:
    """A surgeon that says one rewrite where there is an Add."""

    def run(graph: gs.Graph) -> tuple[gs.Graph, int]:
        if not any(one.op == "Add" for one in graph.nodes):
            return graph, 0
        rewrite(graph)
        return graph, 1

    return surgeon(run, changes=changes)


def doubled(graph: gs.Graph) -> None:
    """Right: y = h + c as c + h, by an operator of another name."""
    add = graph.nodes[-1]
    add.op, add.inputs = "Sum", list(reversed(add.inputs))


def test_a_pass_that_keeps_everything_holds() -> None:
    assert judged(rewriting(doubled)) == ""
    assert judged(surgeon(lambda graph: (graph, 0))) == ""


def subtract(graph: gs.Graph) -> None:
    graph.nodes[-1].op = "Sub"


def slightly(graph: gs.Graph) -> None:
    doubled(graph)
    graph.nodes[0].inputs[1].values = graph.nodes[0].inputs[1].values * np.float32(1.001)


def only_for_three(graph: gs.Graph) -> None:
    doubled(graph)
    fixed = gs.Constant("shape", np.array([3, 4, 8], np.int64))
    out = graph.outputs[0]
    graph.nodes[-1].outputs = [gs.Variable("flat", np.float32)]
    graph.nodes.append(gs.Node("Reshape", "fix", {}, [graph.nodes[-1].outputs[0], fixed], [out]))


def renamed(graph: gs.Graph) -> None:
    doubled(graph)
    graph.outputs[0].name = "z"


def fixed(graph: gs.Graph) -> None:
    doubled(graph)
    graph.inputs[0].shape = [3, 4, 8]


def unknown(graph: gs.Graph) -> None:
    graph.nodes[-1].op = "NoSuchOperator"


def raised(graph: gs.Graph) -> None:
    raise KeyError("gamma")


def refused(graph: gs.Graph) -> None:
    raise UserError("not this one")


@pytest.mark.parametrize(
    ("rewrite", "words"),
    [
        (subtract, "output 'y': Not equal to tolerance"),
        (slightly, "output 'y': Not equal to tolerance"),
        (renamed, "became"),
        (fixed, "became"),
        (unknown, "invalid: No Op registered for NoSuchOperator"),
        (raised, "raised KeyError: 'gamma' (test_pass_contract.py:"),
        (refused, "refused: not this one"),
    ],
)
def test_what_a_pass_breaks_is_said(rewrite: Callable[[gs.Graph], None], words: str) -> None:
    assert words in judged(rewriting(rewrite))


def test_a_pass_that_holds_for_one_batch_only_is_found() -> None:
    with pytest.raises(Exception, match="Reshape"):
        judged(rewriting(only_for_three))


def test_what_a_pass_declares_that_it_changes_it_may() -> None:
    assert judged(rewriting(fixed, changes="the batch")) == ""
    assert "outputs ['z']" in judged(rewriting(renamed, changes="names"))


def test_a_pass_that_never_ends_is_found() -> None:
    def more(graph: gs.Graph) -> tuple[gs.Graph, int]:
        doubled(graph)
        return graph, 1

    assert judged(surgeon(more)) == "a second application rewrites 1 more"


def test_a_count_that_does_not_fit_what_was_done_is_found() -> None:
    def silent(given: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
        after = copy(given)
        after.graph.node[0].name = "other"
        return after, 0

    assert judged(GraphPass(silent, "onnx-graphsurgeon")) == "0 rewrites, but the model is another"
    assert judged(GraphPass(lambda given: (given, 2), "onnx-graphsurgeon")) == "2 rewrites, but the model is the same"


def test_a_pass_that_edits_its_argument_is_found() -> None:
    def edits(given: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
        given.graph.node[0].name = "other"
        return given, 1

    assert judged(GraphPass(edits, "onnx-graphsurgeon")) == "its argument was changed"


def test_a_fitted_pass_is_judged_with_what_the_case_knows() -> None:
    seen: list[Setting] = []

    def look(graph: gs.Graph, known: Setting) -> tuple[gs.Graph, int]:
        seen.append(known)
        return graph, 0

    two = model([node("Relu", "x", "y"), node("Exp", "y", "z")], outputs=[value("y"), value("z")])
    assert judged(fitted_surgeon(look), two) == ""
    assert seen[-1] == Setting({"batch": 3}, {"batch": (1, 3, 9)}, ("y",))
