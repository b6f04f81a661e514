"""What every graph pass must hold: a new file in variants/passes is tested by being there, on every small graph."""

from __future__ import annotations

from functools import cache

import onnx
import pytest

from bench.passes import fitted
from common.errors import UserError
from tests.variants.graphs import copy, operators
from tests.variants.pass_contract import PASSES, broken, ours, setting, small, small_feeds
from variants.graph_pass import FittedPass, Stage
from variants.plugin_pass import NAMESPACE, placed
from variants.variant import Array

OURS = [name for name, declared in PASSES.items() if ours(declared)]
every_pass = pytest.mark.parametrize("name", PASSES)


@cache
def inputs(graph: str) -> list[dict[str, Array]]:
    return small_feeds(small()[graph])


@cache
def applied(name: str, graph: str) -> tuple[onnx.ModelProto, int]:
    """A library that fails on a graph leaves it as it was."""
    before = small()[graph]
    try:
        after, rewrites = fitted(PASSES[name], setting(before)).value.run(copy(before))
    except UserError:
        return before, 0
    return after, rewrites


@every_pass
def test_a_pass_holds_its_contract_on_every_small_graph(name: str) -> None:
    """The same numbers at several shapes, a valid graph with the same inputs and outputs, nothing left for a second application."""
    found = {graph: broken(PASSES[name], before, inputs(graph), setting(before)) for graph, before in small().items()}
    assert {graph: said for graph, said in found.items() if said} == {}


@every_pass
def test_a_pass_with_nothing_to_do_says_so(name: str) -> None:
    after, rewrites = applied(name, "a graph with nothing to rewrite")
    if PASSES[name].value.changes:
        return
    assert rewrites == 0
    assert [(n.op_type, n.input, n.output) for n in after.graph.node] == [("Relu", ["x"], ["y"])]


@every_pass
def test_every_pass_has_something_to_do_on_a_small_graph(name: str) -> None:
    assert any(applied(name, graph)[1] for graph in small())


@every_pass
def test_a_pass_says_which_operators_it_writes_beyond_onnx_and_writes_no_others(name: str) -> None:
    for graph, before in small().items():
        domains = {node.domain for node in applied(name, graph)[0].graph.node} - {node.domain for node in before.graph.node}
        assert domains <= {"", "ai.onnx", PASSES[name].value.domain}


@pytest.mark.parametrize("name", OURS)
def test_what_a_pass_of_our_own_writes_has_a_name(name: str) -> None:
    for graph, before in small().items():
        if all(node.name for node in before.graph.node):
            nodes = applied(name, graph)[0].graph.node
            assert all(node.name for node in nodes), graph
            assert len({node.name for node in nodes}) == len(nodes) or len({n.name for n in before.graph.node}) < len(before.graph.node)


@pytest.mark.parametrize("name", [name for name, declared in PASSES.items() if declared.value.domain == NAMESPACE])
def test_a_plugin_pass_places_the_version_that_was_asked_for(name: str) -> None:
    nodes = [node for graph in small() for node in placed(applied(name, graph)[0])]
    assert {a.s.decode() for node in nodes for a in node.attribute if a.name == "version"} == {name.partition(":")[2]}


@pytest.mark.parametrize("name", OURS)
def test_a_pass_that_is_told_nothing_of_the_case_does_no_harm(name: str) -> None:
    declared = PASSES[name]
    if isinstance(declared.value, FittedPass):
        after, _ = declared.value.run(copy(small()["one layernorm"]))
        onnx.checker.check_model(after, full_check=True)
        assert [value.name for value in after.graph.output] == ["y"]


@every_pass
def test_a_pass_stands_somewhere_and_its_label_is_a_sentence(name: str) -> None:
    declared = PASSES[name]
    assert isinstance(declared.value.stage, Stage)
    assert declared.label
    assert not declared.label.startswith(" ")


def test_layernorms_are_all_found_after_any_other_pass_of_our_own() -> None:
    """What one pass does must not hide the pattern of another; of the graph with two of them."""
    before = small()["two layernorms"]
    for name in OURS:
        after, _ = fitted(PASSES[name], setting(before)).value.run(copy(before))
        left = PASSES["fuse_layernorm"].value.run(after)[1]
        fused = sum("layer" in op.lower() for op in operators(after))
        assert left + fused == 2, name
