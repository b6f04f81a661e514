"""What every graph pass must hold: a new file in variants/passes is tested by being there."""

from __future__ import annotations

import functools

import numpy as np
import onnx
import pytest

from common.discover import discover
from tests.variants import obstacles
from tests.variants.graphs import copy, feeds, run, small_graphs
from variants.graph_pass import GraphPass
from variants.models.vit_digits import vit_digits

PASSES = discover("variants.passes", GraphPass)
OURS = [name for name, declared in PASSES.items() if declared.value.distribution == "onnx-graphsurgeon"]
GRAPHS = small_graphs() | {
    "a mask that is sliced": obstacles.sliced_mask(),
    "a pad of amounts in a matrix": obstacles.padded(),
    "a grouped convolution of a reshape": obstacles.grouped(),
}
RTOL, ATOL = 1e-4, 1e-5
"""Same arithmetic in another order: some hundred roundings of fp32 (6e-8 each)."""

every_pass = pytest.mark.parametrize("name", PASSES)
every_graph = pytest.mark.parametrize("graph", GRAPHS)


@functools.cache
def applied(name: str, graph: str) -> tuple[onnx.ModelProto, int]:
    after, rewrites = PASSES[name].value.run(copy(GRAPHS[graph]))
    return after, rewrites


@pytest.fixture(scope="session")
def on_vit(vit: onnx.ModelProto) -> dict[str, tuple[onnx.ModelProto, int]]:
    """Every pass on vit_digits, with the number of its rewrites."""
    return {name: declared.value.run(copy(vit)) for name, declared in PASSES.items()}


def interface(model: onnx.ModelProto) -> list[tuple[str, int, list[str | int]]]:
    """Name, element type and dimensions of inputs and outputs; whatever a free dimension is called."""
    values = (*model.graph.input, *model.graph.output)
    tensors = ((v.name, v.type.tensor_type) for v in values)
    return [(name, t.elem_type, [d.dim_value or "free" for d in t.shape.dim]) for name, t in tensors]


@every_pass
@every_graph
def test_a_pass_leaves_a_valid_model_with_the_same_inputs_and_outputs(name: str, graph: str) -> None:
    after, _ = applied(name, graph)
    onnx.checker.check_model(after, full_check=True)
    assert interface(after) == interface(GRAPHS[graph])


@every_pass
@every_graph
@pytest.mark.parametrize("batch", [1, 5])
def test_a_pass_keeps_what_a_graph_computes(name: str, graph: str, batch: int) -> None:
    given = feeds(GRAPHS[graph], batch)
    expected, actual = run(GRAPHS[graph], given), run(applied(name, graph)[0], given)
    for output, array in expected.items():
        np.testing.assert_allclose(actual[output], array, RTOL, ATOL)


@every_pass
@every_graph
def test_a_pass_does_not_change_its_argument(name: str, graph: str) -> None:
    argument = copy(GRAPHS[graph])
    PASSES[name].value.run(argument)
    assert argument.SerializeToString(deterministic=True) == GRAPHS[graph].SerializeToString(deterministic=True)


@every_pass
@every_graph
def test_a_second_application_finds_no_more_than_the_first_left(name: str, graph: str) -> None:
    once, rewrites = applied(name, graph)
    twice, again = PASSES[name].value.run(copy(once))
    assert again <= rewrites
    assert len(twice.graph.node) <= len(once.graph.node)
    given = feeds(once, 2)
    for output, array in run(once, given).items():
        np.testing.assert_allclose(run(twice, given)[output], array, RTOL, ATOL)


@every_pass
def test_a_pass_with_nothing_to_do_says_so(name: str) -> None:
    after, rewrites = applied(name, "a graph with nothing to rewrite")
    assert rewrites == 0
    assert [(n.op_type, n.input, n.output) for n in after.graph.node] == [("Relu", ["x"], ["y"])]


@pytest.mark.parametrize("name", OURS)
@every_graph
def test_a_pass_of_our_own_that_rewrites_nothing_gives_back_the_same_model(name: str, graph: str) -> None:
    after, rewrites = applied(name, graph)
    assert (after == GRAPHS[graph]) == (rewrites == 0)


@pytest.mark.parametrize("name", OURS)
@every_graph
def test_a_pass_of_our_own_has_nothing_left_to_rewrite(name: str, graph: str) -> None:
    assert PASSES[name].value.run(applied(name, graph)[0])[1] == 0


@every_pass
def test_every_pass_has_something_to_do_on_a_raw_export_or_on_the_obstacle_that_it_mends(
    name: str, on_vit: dict[str, tuple[onnx.ModelProto, int]]
) -> None:
    after, rewrites = on_vit[name]
    assert rewrites > 0 or any(applied(name, graph)[1] for graph in GRAPHS)
    onnx.checker.check_model(after, full_check=True)


@every_pass
@pytest.mark.parametrize("batch", [1, 8])
def test_a_pass_keeps_the_logits_of_vit_digits(
    name: str, batch: int, vit: onnx.ModelProto, on_vit: dict[str, tuple[onnx.ModelProto, int]]
) -> None:
    after = on_vit[name][0]
    assert interface(after) == interface(vit)
    given = {"images": vit_digits.inputs("test")["images"][:batch]}
    np.testing.assert_allclose(run(after, given)["logits"], run(vit, given)["logits"], RTOL, ATOL)


@every_pass
def test_a_second_application_on_vit_digits_does_not_grow_it(name: str, on_vit: dict[str, tuple[onnx.ModelProto, int]]) -> None:
    once, rewrites = on_vit[name]
    twice, again = PASSES[name].value.run(copy(once))
    assert len(twice.graph.node) <= len(once.graph.node)
    assert again == 0 if name in OURS else again < rewrites
    given = {"images": vit_digits.inputs("test")["images"][:2]}
    np.testing.assert_allclose(run(twice, given)["logits"], run(once, given)["logits"], RTOL, ATOL)


@every_pass
def test_fuse_layernorm_finds_all_of_them_after_any_other_pass(name: str, on_vit: dict[str, tuple[onnx.ModelProto, int]]) -> None:
    after = on_vit[name][0]
    left = PASSES["fuse_layernorm"].value.run(after)[1]
    fused = sum(node.op_type in ("LayerNormalization", "layernorm_affine") for node in after.graph.node)
    assert left + fused == 13
