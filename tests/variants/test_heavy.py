"""Weights set aside: nothing serialises them, and every one is where it was afterwards."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from onnx import helper, numpy_helper, version_converter

from common.errors import UserError
from tests.variants.graphs import WIDTH, branch, equal_outputs, model, node, operators
from variants import heavy_inputs
from variants.graph import exported, shaped, with_opset, with_shapes
from variants.graph_pass import cleaner, surgeon
from variants.heavy import HEAVY, data_bytes, put_back, set_aside, tensors
from variants.heavy_inputs import mere_operands, unfolded, without_weights
from variants.variant import Array

WIDE = 128


def weight(seed: int = 0, rows: int = WIDTH) -> Array:
    """Heavy: [8, 128], or [128, 8]."""
    return np.random.default_rng(seed).normal(size=(rows, WIDE * WIDTH // rows)).astype(np.float32)


def stored(output: str, array: Array) -> onnx.NodeProto:
    """A Constant node."""
    return helper.make_node("Constant", [], [output], f"make_{output}", value=numpy_helper.from_array(array, ""))


def everywhere() -> onnx.ModelProto:
    """Heavy weights in the main graph, in a Constant node, in a body, and one that a body reads from outside: each [8, 128] or back."""
    before = [stored("c", weight(1)), node("MatMul", "x c", "g"), node("MatMul", "g w", "h")]
    then = [node("MatMul", "h c", "t1"), node("MatMul", "t1 w", "t")]
    otherwise = [stored("k", weight(2)), node("MatMul", "h k", "e1"), node("MatMul", "e1 w", "e")]
    return branch(then, otherwise, before, w=weight(3, WIDE))


def plain(op: str = "MatMul") -> onnx.ModelProto:
    """y = x, widened and narrowed again, or only its first step."""
    if op != "MatMul":
        return model(
            [node(op, "w w", "v"), node("MatMul", "x v", "h"), node("ReduceSum", "h", "s", keepdims=1), node("Add", "x s", "y")],
            {"w": weight()},
        )
    return model([node("MatMul", "x w", "h"), node("ReduceSum", "h", "s", keepdims=1), node("Add", "x s", "y")], {"w": weight()})


def two(first: int, second: int) -> onnx.ModelProto:
    """Two products, summed."""
    nodes = [node("MatMul", "x v", "g"), node("MatMul", "x w", "h"), node("Add", "g h", "i"), node("ReduceSum", "i", "s", keepdims=1)]
    return model([*nodes, node("Add", "x s", "y")], {"v": weight(first), "w": weight(second)})


def test_what_was_set_aside_comes_back_byte_for_byte() -> None:
    before = everywhere()
    light, held = set_aside(before)
    assert len(held) == 3, "in the main graph, in its Constant node and in a body's"
    assert data_bytes(light) < 4 * HEAVY
    assert all(tensor.ByteSize() < 200 for tensor in tensors(light.graph))
    assert put_back(light, held) == before == everywhere()


def test_shapes_are_inferred_without_the_weights_and_with_them_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    infer = onnx.shape_inference.infer_shapes

    def watched(given: onnx.ModelProto) -> onnx.ModelProto:
        seen.append(given.ByteSize())
        return infer(given)

    monkeypatch.setattr(onnx.shape_inference, "infer_shapes", watched)
    before = everywhere()
    after = with_shapes(before)
    assert seen[0] < 3 * HEAVY
    assert {info.name for info in after.graph.value_info} >= {"g", "h", "c"}
    assert [t.raw_data for t in tensors(after.graph)] == [t.raw_data for t in tensors(before.graph)]
    equal_outputs(before, after)


def test_a_graph_reads_its_weights_from_the_model_and_an_export_has_them() -> None:
    before = everywhere()
    graph = shaped(before)
    np.testing.assert_array_equal(graph.tensors()["w"].values, weight(3, WIDE))
    equal_outputs(before, exported(graph))
    equal_outputs(before, exported(shaped(before)))


def test_a_pass_that_renames_or_replaces_a_weight_does_not_reach_its_argument() -> None:
    def replace(graph: gs.Graph) -> tuple[gs.Graph, int]:
        graph.nodes[0].inputs[1].name = "renamed"
        graph.nodes[0].inputs[1] = gs.Constant("double", graph.nodes[0].inputs[1].values * 2)
        return graph, 1

    def rename(graph: gs.Graph) -> tuple[gs.Graph, int]:
        graph.nodes[0].inputs[1].name = "renamed"
        return graph, 1

    for change, names in ((replace, ["double"]), (rename, ["renamed"])):
        before = plain()
        after, _ = surgeon(change).run(before)
        assert [t.name for t in after.graph.initializer] == names
        assert all(not t.doc_string and len(t.raw_data) == 4 * WIDE * WIDTH for t in after.graph.initializer)
        assert before == plain()


def test_an_older_graph_is_raised_without_its_weights_going_through_the_converter(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    convert = version_converter.convert_version

    def watched(given: onnx.ModelProto, opset: int) -> onnx.ModelProto:
        seen.append(given.ByteSize())
        return convert(given, opset)

    monkeypatch.setattr(version_converter, "convert_version", watched)
    light = plain()
    raised = exported(with_opset(shaped(light), 17))
    assert seen[0] < 3 * HEAVY
    assert raised.graph.initializer[0].raw_data == light.graph.initializer[0].raw_data
    before = everywhere()
    equal_outputs(before, exported(with_opset(shaped(before), 17)))
    assert before == everywhere(), "the export inside writes names into tensors of Constant nodes"


def test_a_folding_library_does_not_see_a_weight_that_it_would_not_fold() -> None:
    nodes = [node("Transpose", "u", "v", perm=[1, 0]), node("MatMul", "x v", "h"), node("MatMul", "h w", "y")]
    before = model(nodes, {"u": weight(rows=WIDE), "w": weight(1, WIDE)})
    assert unfolded(before) == {"w"}
    seen: list[list[str]] = []

    def clean(given: onnx.ModelProto) -> onnx.ModelProto:
        seen.append([tensor.name for tensor in given.graph.initializer])
        assert [port.name for port in given.graph.input] == ["x", "w"]
        return given

    after, rewrites = cleaner(clean, "library", unfolded).run(before)
    assert seen == [["u"]]
    assert rewrites == 0
    assert {tensor.name: tensor.raw_data for tensor in after.graph.initializer} == {t.name: t.raw_data for t in before.graph.initializer}
    assert [port.name for port in after.graph.input] == ["x"]


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (plain, {"w"}),
        (lambda: plain("Add"), set()),
        (everywhere, set()),
        (lambda: two(1, 1), set()),
        (lambda: two(1, 2), {"v", "w"}),
    ],
    ids=["alone", "folded", "read inside a body", "equal to another", "two that differ"],
)
def test_only_operands_of_products_that_equal_no_other_are_spared(made: Callable[[], onnx.ModelProto], expected: set[str]) -> None:
    assert mere_operands(made()) == expected


def test_a_weight_that_nothing_reads_any_more_does_not_come_back() -> None:
    def drop(given: onnx.ModelProto) -> onnx.ModelProto:
        given.graph.node[0].CopyFrom(node("Relu", "x", "h"))
        return given

    after, rewrites = cleaner(drop, "library", unfolded).run(plain())
    assert (operators(after), rewrites, len(after.graph.initializer)) == (["Relu", "ReduceSum", "Add"], 2, 0)
    onnx.checker.check_model(after, full_check=True)


def test_a_model_above_the_limit_is_handed_over_without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def clean(given: onnx.ModelProto) -> onnx.ModelProto:
        sizes.append(data_bytes(given))
        return given

    for limit, handed in ((10**6, True), (HEAVY, False)):
        monkeypatch.setattr("variants.graph_pass.LIMIT", limit)
        after, _ = cleaner(clean, "library").run(plain())
        assert (sizes.pop() >= 4 * WIDE * WIDTH) == handed
        assert after == plain()


def test_weights_above_the_limit_that_would_be_folded_are_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heavy_inputs, "LIMIT", HEAVY)
    folded = plain("Add")
    with pytest.raises(UserError, match="leave it out"):
        without_weights(folded, unfolded(folded))


def test_a_pass_keeps_no_weight_alive_once_it_is_done() -> None:
    """A graph is a cycle: without help its values live until Python looks for such, and a pipeline has held every model so."""
    before = plain()
    seen: list[gs.Constant] = []

    def replace(graph: gs.Graph) -> tuple[gs.Graph, int]:
        old, new = graph.nodes[0].inputs[1], gs.Constant("double", graph.nodes[0].inputs[1].values * 2)
        graph.nodes[0].inputs[1] = new
        seen.extend((old, new))
        return graph, 1

    after, _ = surgeon(replace).run(before)
    assert [constant.values.size for constant in seen] == [0, 0]
    np.testing.assert_array_equal(numpy_helper.to_array(after.graph.initializer[0]), 2 * weight())
