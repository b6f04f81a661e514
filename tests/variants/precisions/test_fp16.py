"""Where fp16 goes and where it must not."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from tests.variants.graphs import Norm, affine, feeds, layernorm, model, node, operators, run, small_graphs, value
from variants.passes.fuse_layernorm import fuse_layernorm
from variants.precisions.fp16 import fp16

HALF = TensorProto.FLOAT16


def converted(graph: onnx.ModelProto) -> onnx.ModelProto:
    after = fp16.apply(graph, ())
    onnx.checker.check_model(after, full_check=True)
    return after


def element_types(graph: onnx.ModelProto) -> dict[str, int]:
    """Element type of every tensor that onnx can infer."""
    inferred = onnx.shape_inference.infer_shapes(graph).graph
    values = (*inferred.value_info, *inferred.input, *inferred.output)
    return {v.name: v.type.tensor_type.elem_type for v in values} | {t.name: t.data_type for t in inferred.initializer}


def between_products() -> onnx.ModelProto:
    """x -> product -> LayerNorm -> product -> y."""
    weight = np.random.default_rng(3).normal(size=(8, 8)).astype(np.float32)
    nodes = [node("MatMul", "x w", "h"), *Norm(source="h", output="n").nodes(), node("MatMul", "n w", "y")]
    return model(nodes, affine() | {"w": weight})


def test_inputs_and_outputs_stay_fp32() -> None:
    after = converted(between_products())
    assert {v.type.tensor_type.elem_type for v in (*after.graph.input, *after.graph.output)} == {TensorProto.FLOAT}


def test_products_compute_in_fp16_and_the_nine_nodes_of_a_layernorm_in_fp32() -> None:
    after = converted(between_products())
    types = element_types(after)
    products = [n for n in after.graph.node if n.op_type == "MatMul"]
    assert [types[name] for n in products for name in n.input] == [HALF] * 4
    norm = [n for n in after.graph.node if n.op_type in ("ReduceMean", "Sub", "Pow", "Sqrt", "Div", "Mul", "Add")]
    assert len(norm) == 9
    assert {types[name] for n in norm for name in n.input} == {TensorProto.FLOAT}


def test_a_fused_layernorm_computes_in_fp16() -> None:
    after = converted(fuse_layernorm.run(between_products())[0])
    types = element_types(after)
    (fused,) = (n for n in after.graph.node if n.op_type == "LayerNormalization")
    assert {types[name] for name in fused.input} == {HALF}


def outliers() -> onnx.ModelProto:
    """Activations of about 1,000 enter a LayerNorm: their squares are above 65,504, the largest number of fp16."""
    return model([node("Mul", "x thousand", "h"), *Norm(source="h").nodes()], affine() | {"thousand": np.float32(1000)})


def test_squares_beyond_the_range_of_fp16_do_not_overflow_inside_a_layernorm() -> None:
    graph = outliers()
    given = feeds(graph, 4)
    np.testing.assert_allclose(run(converted(graph), given)["y"], run(graph, given)["y"], atol=5e-3)


def test_statistics_in_fp16_are_to_be_had_for_the_asking_and_the_same_activations_overflow_there() -> None:
    graph, asked = outliers(), fp16.at("statistics")
    assert asked is not None
    after = asked.apply(graph, ())
    seen = "y_squared/fp16"
    assert element_types(after)[seen] == HALF
    after.graph.output.append(value(seen, dtype=HALF))
    assert not np.isfinite(run(after, feeds(graph, 4))[seen]).all()


def test_a_graph_of_nodes_without_names_is_protected_too() -> None:
    graph = outliers()
    for made in graph.graph.node:
        made.name = ""
    given = feeds(graph, 4)
    np.testing.assert_allclose(run(converted(graph), given)["y"], run(graph, given)["y"], atol=5e-3)


def test_a_name_that_looks_generated_protects_nothing_else() -> None:
    nodes = [node("MatMul", "x w", "h", name="Sub_2"), *Norm(source="h", named=False).nodes()]
    after = converted(model(nodes, affine() | {"w": np.eye(8, dtype=np.float32)}))
    types = element_types(after)
    (product,) = (n for n in after.graph.node if n.op_type == "MatMul")
    assert {types[name] for name in product.input} == {HALF}


def test_the_argument_is_not_changed_and_no_two_nodes_write_one_tensor() -> None:
    graph = between_products()
    before = graph.SerializeToString(deterministic=True)
    written = [name for n in converted(graph).graph.node for name in n.output]
    assert graph.SerializeToString(deterministic=True) == before
    assert len(written) == len(set(written))


def test_kept_nodes_pass_fp32_to_each_other_without_a_cast_between() -> None:
    assert operators(converted(layernorm())).count("Cast") == 0
    casts = [n for n in converted(between_products()).graph.node if n.op_type == "Cast"]
    assert len(casts) == 4, "at the input, into the LayerNorm, out of it, and at the output"


def test_a_rounding_to_fp16_that_the_model_asks_for_stays() -> None:
    there, back = node("Cast", "x", "h", to=HALF), node("Cast", "h", "r", to=TensorProto.FLOAT)
    graph = model([there, back, *Norm(source="r").nodes()], affine())
    x = np.full((1, 4, 8), 0, np.float32) + np.linspace(1000, 1001, 8, dtype=np.float32)
    np.testing.assert_allclose(run(converted(graph), {"x": x})["y"], run(graph, {"x": x})["y"], atol=5e-3)
    assert np.abs(run(layernorm(), {"x": x})["y"] - run(graph, {"x": x})["y"]).max() > 0.05


GRAPHS = small_graphs()


@pytest.mark.parametrize("graph", GRAPHS)
def test_graphs_of_every_kind_stay_valid_and_close(graph: str) -> None:
    before = GRAPHS[graph]
    after = converted(before)
    for batch in (1, 3):
        given = feeds(before, batch)
        for name, array in run(before, given).items():
            np.testing.assert_allclose(run(after, given)[name], array, rtol=5e-3, atol=1e-2)
