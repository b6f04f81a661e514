"""What ONNX Runtime's CPU makes of quantised graphs: integer products, and nothing that it cannot run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

from bench.backend import BuildOptions
from bench.backends.onnxruntime import onnxruntime as backend
from bench.precisions import find
from tests.variants.graphs import feeds, model, node, run, value

WIDTH = 64


def products(flat: bool) -> onnx.ModelProto:
    """Two products that share what they read, each with a bias; of two dimensions or three."""
    draw = np.random.default_rng(0)
    held = {name: draw.normal(size=(WIDTH, WIDTH)).astype(np.float32) / 8 for name in ("w", "v")}
    held |= {"b": draw.normal(size=WIDTH).astype(np.float32), "c": draw.normal(size=WIDTH).astype(np.float32)}
    nodes = [
        node("MatMul", "x w", "h"),
        node("Add", "h b", "s"),
        node("MatMul", "x v", "k"),
        node("Add", "k c", "t"),
        node("Mul", "s t", "y"),
    ]
    shape = ("batch", WIDTH) if flat else ("batch", 4, WIDTH)
    return model(nodes, held, [value("x", shape)], [value("y", shape)])


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize(
    ("text", "integer"),
    [("int8_minmax", 2), ("int8_minmax:integer", 2), ("fp8", 0), ("int8_weights", 0), ("int8_minmax+fp16", 0), ("int4_weights", 0)],
)
def test_a_plan_multiplies_integers_where_it_should_and_computes_what_the_graph_says(
    text: str, integer: int, flat: bool, tmp_path: Path
) -> None:
    graph, precision = products(flat), find(text).value
    given = feeds(graph, 3)
    lowered = precision.apply(graph, precision.calibrate(graph, given) if precision.calibrate else ())
    onnx.save(lowered, tmp_path / "model.onnx")
    options = BuildOptions((("x", given["x"].shape),), 1, "8.9", 60)
    info = backend.build(tmp_path / "model.onnx", tmp_path / "plan", options)
    assert not info.rejection
    operators = Counter(made.op_type for made in onnx.load(tmp_path / "plan").graph.node)
    assert operators["MatMulIntegerToFloat"] == integer
    actual = backend.load(tmp_path / "plan", options).run(given)["y"]
    np.testing.assert_allclose(actual, run(lowered, given)["y"], atol=0.03 if "+fp16" in text else 1e-3)
