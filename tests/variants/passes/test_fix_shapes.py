"""What becomes a number when the case's sizes are known, what stays free, and that nothing of a shape is left to a run."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from tests.variants.families import FAMILIES, cache_folder, exported
from tests.variants.graphs import WIDTH, body, feeds, model, node, operators, run, small_graphs, value
from tests.variants.more_graphs import ahead
from tests.variants.more_graphs.ahead import NUMBERS, TIME, ints, random, reshaped
from variants.explain import listening
from variants.graph_pass import Setting
from variants.passes.fix_shapes import fix_shapes

GRAPHS = small_graphs() | ahead.graphs()
BATCH = 3
SETTING = Setting({"batch": BATCH, "time": BATCH})
DATA = ("wenet", "dab_detr")
SHAPES = {"Shape", "Size", "ConstantOfShape", "Range", "NonZero"}


def fixed(graph: onnx.ModelProto, setting: Setting = SETTING) -> onnx.ModelProto:
    return fix_shapes.fitted(setting).run(graph)[0]


def dimensions(graph: onnx.ModelProto) -> list[int | str]:
    return [d.dim_value or d.dim_param for v in (*graph.graph.input, *graph.graph.output) for d in v.type.tensor_type.shape.dim]


def written_as_int64(graph: onnx.ModelProto) -> list[str]:
    """Operators of nodes other than constants whose output is int64, or not known."""
    known = onnx.shape_inference.infer_shapes(graph).graph
    types = {v.name: v.type.tensor_type.elem_type for v in (*known.value_info, *known.output)}
    nodes = [made for made in graph.graph.node if made.op_type != "Constant"]
    return [made.op_type for made in nodes for name in made.output if types.get(name, TensorProto.INT64) == TensorProto.INT64]


@pytest.mark.parametrize("name", GRAPHS)
def test_every_dimension_is_a_number_and_the_outputs_are_the_same(name: str) -> None:
    graph = GRAPHS[name]
    after = fixed(graph)
    onnx.checker.check_model(after, full_check=True)
    assert all(isinstance(size, int) for size in dimensions(after))
    given = feeds(graph, BATCH)
    for output, array in run(graph, given).items():
        np.testing.assert_allclose(run(after, given)[output], array, 1e-5, 1e-6)
    assert fix_shapes.fitted(SETTING).run(after)[1] == 0


def test_arithmetic_on_sizes_is_gone_with_its_loose_ends() -> None:
    after = fixed(reshaped())
    assert operators(after) == ["Reshape", "Reshape", "Add"]
    assert not written_as_int64(after)


def test_every_dimension_and_every_node_that_is_computed_counts() -> None:
    graph = model([node("Shape", "x", "s"), node("ConstantOfShape", "s", "zeros"), node("Add", "x zeros", "y")])
    assert fix_shapes.fitted(SETTING).run(graph)[1] == 1 + 2


def test_without_sizes_nothing_is_rewritten() -> None:
    graph = reshaped()
    assert fix_shapes.run(graph) == (graph, 0)


def test_a_dimension_without_a_size_stays_free_and_is_named() -> None:
    with listening() as declined:
        after = fixed(reshaped(), Setting({"batch": 2}))
    assert declined[0] == "x: the case gives no size for its dimension 'time'"
    assert set(dimensions(after)) == {2, "time", WIDTH}
    for time in (1, 4):
        given = {"x": random(2, time, WIDTH)}
        np.testing.assert_allclose(run(after, given)["y"], run(reshaped(), given)["y"], 1e-6)


def test_a_shape_that_depends_on_data_stays_and_is_named() -> None:
    nodes = [node("NonZero", "x", "places"), node("Shape", "places", "s"), node("Cast", "s", "f", to=TensorProto.FLOAT)]
    nodes += [node("ReduceMax", "f", "most", keepdims=0), node("Add", "x most", "y")]
    graph = model(nodes)
    with listening() as declined:
        after = fixed(graph)
    assert declined == ["places: its shape is known only when the graph runs"]
    given = feeds(graph, BATCH)
    np.testing.assert_array_equal(run(after, given)["y"], run(graph, given)["y"])


def test_an_output_that_is_a_shape_keeps_its_name() -> None:
    graph = model([node("Shape", "x", "s"), node("Relu", "x", "y")], outputs=[value("y"), value("s", (3,), TensorProto.INT64)])
    after = fixed(graph)
    assert run(after, feeds(graph, BATCH))["s"].tolist() == [BATCH, 4, WIDTH]


def test_a_value_that_a_branch_reads_is_a_constant_there() -> None:
    branches = {
        "then_branch": body("then", [node("Reshape", "x s", "t")], [value("t")]),
        "else_branch": body("else", [node("Expand", "x s", "e")], [value("e")]),
    }
    nodes = [node("Shape", "x", "s"), node("ReduceSum", "x", "sum", keepdims=0), node("Greater", "sum zero", "positive")]
    graph = model([*nodes, node("If", "positive", "y", **branches)], {"zero": np.float32(0)})
    after = fixed(graph)
    assert "Shape" not in operators(after)
    given = feeds(graph, BATCH)
    np.testing.assert_array_equal(run(after, given)["y"], run(graph, given)["y"])


def test_what_a_comparison_of_sizes_decides_is_known() -> None:
    """GreaterOrEqual is defined as a function, of which onnx's inference of one node says nothing."""
    nodes = [node("Shape", "x", "s"), node("Slice", "s one two nought", "t"), node("Cast", "x", "i", to=TensorProto.INT64)]
    nodes += [node("GreaterOrEqual", "i t", "late"), node("Shape", "late", "r"), node("ConstantOfShape", "r", "o"), node("Add", "x o", "y")]
    graph = model(nodes, NUMBERS, [value("x", TIME)], [value("y", TIME)])
    assert operators(fixed(graph)) == ["Add"]


def test_stored_precision_and_randomness_are_no_constants() -> None:
    nodes = [node("DequantizeLinear", "w scale", "weight"), node("MatMul", "x weight", "h")]
    nodes += [node("RandomUniformLike", "c", "noise"), node("Mul", "noise zero", "n"), node("Add", "h n", "y")]
    held = {"w": random(WIDTH, WIDTH).astype(np.int8), "scale": np.float32(0.1), "c": random(WIDTH), "zero": np.float32(0)}
    after = fixed(model(nodes, held))
    assert {"DequantizeLinear", "RandomUniformLike"} <= set(operators(after))


def test_what_is_large_only_by_being_expanded_is_not_stored() -> None:
    nodes = [node("Expand", "one_ size", "big"), node("ReduceSum", "big", "sum", keepdims=0), node("Add", "x sum", "y")]
    after = fixed(model(nodes, {"one_": np.float32(1), "size": ints(4096, 4096)}))
    assert "Expand" in operators(after)
    assert sum(numpy_helper.to_array(tensor).nbytes for tensor in after.graph.initializer) < 1000


@pytest.mark.parametrize("name", FAMILIES)
def test_no_shape_of_a_family_is_left_to_a_run(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Integers of 64 bits are left only where they are data: lengths, tokens, the best of a frame, a mask of images."""
    family = exported(name, cache_folder(tmp_path_factory))
    after = fixed(family.model, family.setting)
    assert not SHAPES & set(operators(after))
    assert name.startswith(DATA) or not written_as_int64(after)
    given = family.feeds[0]
    for output, array in run(family.model, given).items():
        np.testing.assert_allclose(run(after, given)[output], array, 1e-4, 1e-5)
