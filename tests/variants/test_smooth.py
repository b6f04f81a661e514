"""What SmoothQuant moves, that it changes nothing, and what it is good for."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.variants.graphs import Norm, affine, equal_outputs, feeds, model, node, run, value
from variants.lowering.calibration import minmax
from variants.lowering.int8 import Int8
from variants.lowering.placement import EVERYWHERE
from variants.lowering.smooth import applied, migrate, smoothed_ranges

WEIGHT = np.random.default_rng(2).normal(size=(8, 8)).astype(np.float32)
FACTORS = np.linspace(0.5, 4, 8, dtype=np.float32)
OPERATOR = node("LayerNormalization", "x scale bias", "n", axis=-1)


def fused(*more: onnx.NodeProto, **constants: np.ndarray) -> onnx.ModelProto:
    held = {k: affine()[k] for k in ("scale", "bias")} | {"w": WEIGHT} | constants
    return model([OPERATOR, *more], held, opset=17)


def written_out(*more: onnx.NodeProto) -> onnx.ModelProto:
    return model([*Norm(output="n").nodes(), *more], affine() | {"w": WEIGHT})


def operators(graph: onnx.ModelProto) -> list[str]:
    return [made.op_type for made in graph.graph.node]


PRODUCT = node("MatMul", "n w", "y")


@pytest.mark.parametrize("graph", [fused(PRODUCT), written_out(PRODUCT)], ids=["operator", "written out"])
def test_factors_go_into_the_layernorm_and_the_weight_and_nothing_is_added(graph: onnx.ModelProto) -> None:
    moved, names = migrate(graph, {"n": FACTORS})
    onnx.checker.check_model(moved, full_check=True)
    assert names == {"n": "n"}
    assert operators(moved) == operators(graph)
    equal_outputs(graph, moved)
    for after in (graph, moved):
        after.graph.output.append(value("n"))
    given = feeds(graph, 2)
    np.testing.assert_allclose(run(moved, given)["n"] * FACTORS, run(graph, given)["n"], rtol=1e-4, atol=1e-5)


def test_several_products_of_one_tensor_are_moved_together() -> None:
    graph = fused(node("MatMul", "n w", "a"), node("MatMul", "n v", "b"), node("Add", "a b", "y"), v=WEIGHT.T.copy())
    moved, _ = migrate(graph, {"n": FACTORS})
    assert "Mul" not in operators(moved)
    equal_outputs(graph, moved)


def test_behind_a_layernorm_that_something_else_reads_a_mul_is_inserted() -> None:
    graph = fused(node("MatMul", "n w", "a"), node("Add", "a n", "y"))
    moved, names = migrate(graph, {"n": FACTORS})
    assert names == {"n": "n/smoothed"}
    assert operators(moved).count("Mul") == 1
    equal_outputs(graph, moved)


def test_a_layernorm_that_is_an_output_of_the_graph_keeps_its_values() -> None:
    graph = fused(PRODUCT)
    graph.graph.output.append(value("n"))
    moved, _ = migrate(graph, {"n": FACTORS})
    assert operators(moved).count("Mul") == 1
    equal_outputs(graph, moved)


def test_layernorms_that_share_a_scale_are_divided_each_for_itself() -> None:
    second = node("LayerNormalization", "y1 scale bias", "m", axis=-1)
    graph = fused(node("MatMul", "n w", "y1"), second, node("MatMul", "m w", "y"))
    moved, _ = migrate(graph, {"n": FACTORS})
    equal_outputs(graph, moved)


def test_a_gemm_with_a_transposed_weight_is_multiplied_along_its_rows() -> None:
    flat = ("batch", 8)
    graph = model(
        [OPERATOR, node("Gemm", "n w", "y", transB=1)],
        {k: affine()[k] for k in ("scale", "bias")} | {"w": WEIGHT},
        [value("x", flat)],
        [value("y", flat)],
        opset=17,
    )
    moved, _ = migrate(graph, {"n": FACTORS})
    equal_outputs(graph, moved)


def outlying() -> onnx.ModelProto:
    """A LayerNorm whose scale makes one channel a hundred times the others, as in large language models."""
    scale = np.ones(8, np.float32)
    scale[3] = 100
    return fused(PRODUCT, scale=scale)


def test_the_factors_are_those_of_the_paper() -> None:
    graph = outlying()
    given = feeds(graph, 40)
    (found,) = smoothed_ranges(graph, given, minmax, 0.5, EVERYWHERE)
    seen = model(
        [OPERATOR],
        {k: numpy_helper.to_array(t) for t in graph.graph.initializer for k in [t.name] if k != "w"},
        outputs=[value("n")],
        opset=17,
    )
    largest = np.abs(run(seen, given)["n"]).reshape(-1, 8).max(0)
    np.testing.assert_allclose(found.factors, np.sqrt(largest / np.abs(WEIGHT).max(1)), rtol=1e-4)
    assert found.limit == pytest.approx((largest / np.array(found.factors)).max(), rel=1e-4)


def test_an_outlying_channel_costs_less_where_it_is_moved() -> None:
    graph = outlying()
    given = feeds(graph, 40)
    expected = run(graph, given)["y"]

    def error(precision: Int8) -> float:
        declared = precision.precision()
        assert declared.calibrate is not None
        after = declared.apply(graph, declared.calibrate(graph, given))
        return float(np.square(run(after, given)["y"] - expected).mean())

    assert error(Int8(minmax, 0.5)) < error(Int8(minmax)) / 3


def test_a_tensor_that_no_layernorm_writes_is_left_as_it_is() -> None:
    graph = model([node("Relu", "x", "h"), node("MatMul", "h w", "y")], {"w": WEIGHT})
    (found,) = smoothed_ranges(graph, feeds(graph, 4), minmax, 0.5, EVERYWHERE)
    assert found.factors == ()
    assert applied(graph, (found,)) == (graph, (found,))


def test_a_channel_that_is_always_zero_is_left_as_it_is() -> None:
    scale, bias = np.ones(8, np.float32), np.zeros(8, np.float32)
    scale[2] = 0
    graph = fused(PRODUCT, scale=scale, bias=bias)
    (found,) = smoothed_ranges(graph, feeds(graph, 4), minmax, 0.5, EVERYWHERE)
    assert found.factors[2] == 1
    assert np.isfinite(found.factors).all()
