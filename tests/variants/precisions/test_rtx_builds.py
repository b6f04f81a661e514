"""NVIDIA's TensorRT-RTX builds every precision for the compute capabilities that have it, and for no smaller one."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from bench.backend import Backend
from bench.precisions import find, refusal
from common.discover import discover
from tests.variants.graphs import Norm, affine, model, node, value
from variants.models.vit_digits import vit_digits
from variants.precision import Precision
from variants.variant import Array

ROOT = Path(__file__).resolve().parent.parent.parent.parent
WIDTH = 32
IMAGES = {"images": ((1, 1, 32, 32), (8, 1, 32, 32), (32, 1, 32, 32))}
ROWS = {"x": ((1, 4, WIDTH), (8, 4, WIDTH), (16, 4, WIDTH))}
PICTURES = {"x": ((1, 8, 8, 8), (2, 8, 8, 8), (4, 8, 8, 8))}
TEXTS = (
    *discover("variants.precisions", Precision),
    "int8_entropy+fp16",
    "int8_minmax+bf16",
    "fp8+fp16",
    "int4_weights+fp16",
    "int8_weights+fp16",
    "int8_minmax:attention+fp16",
    "int8_entropy~group:head~group:stem+fp16~group:attention",
)
TOO_OLD = {"bf16": "7.5", "fp8": "8.6", "int4_weights": "7.5"}

pytestmark = pytest.mark.skipif(find_spec("tensorrt_rtx") is None, reason="tensorrt_rtx is not installed")


def small() -> onnx.ModelProto:
    """A product, a LayerNorm, attention of one head and a second product."""
    draw = np.random.default_rng(0)
    weights = {name: draw.normal(size=(WIDTH, WIDTH)).astype(np.float32) / 6 for name in ("w", "v")}
    nodes = [
        node("MatMul", "x w", "h"),
        *Norm(source="h", output="n").nodes(),
        node("Transpose", "n", "t", perm=[0, 2, 1]),
        node("MatMul", "n t", "scores"),
        node("Softmax", "scores", "p", axis=-1),
        node("MatMul", "p n", "mixed"),
        node("MatMul", "mixed v", "y"),
    ]
    rows = ("batch", 4, WIDTH)
    return model(nodes, affine(WIDTH) | weights, [value("x", rows)], [value("y", rows)])


def residual() -> onnx.ModelProto:
    """Two convolutions and the skip connection around the second."""
    weights = {name: np.random.default_rng(0).normal(size=(8, 8, 3, 3)).astype(np.float32) / 9 for name in ("w", "v")}
    nodes = [
        node("Conv", "x w", "a", pads=[1, 1, 1, 1]),
        node("Relu", "a", "r"),
        node("Conv", "r v", "b", pads=[1, 1, 1, 1]),
        node("Add", "b r", "s"),
        node("Relu", "s", "y"),
    ]
    shape = ("batch", 8, 8, 8)
    return model(nodes, weights, [value("x", shape)], [value("y", shape)])


def lowered(graph: onnx.ModelProto, text: str, inputs: dict[str, Array]) -> onnx.ModelProto:
    precision = find(text).value
    return precision.apply(graph, precision.calibrate(graph, inputs) if precision.calibrate else ())


@pytest.fixture(scope="module")
def answers(vit: onnx.ModelProto, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, list[str]]]:
    """What TensorRT-RTX said to each graph, by its name here."""
    folder = tmp_path_factory.mktemp("rtx")
    draw = np.random.default_rng(1)
    rows, pictures = draw.normal(size=(8, 4, WIDTH)).astype(np.float32), draw.normal(size=(4, 8, 8, 8)).astype(np.float32)
    whole, images = ("fp16", "fp8", "int4_weights", "int8_minmax+fp16"), dict(vit_digits.inputs("calibration"))
    graphs: dict[str, tuple[onnx.ModelProto, Any, str]] = {}
    graphs |= {f"small {text}": (lowered(small(), text, {"x": rows}), ROWS, "8.9") for text in TEXTS if "group:" not in text}
    graphs |= {f"vit {text}": (lowered(vit, text, images), IMAGES, "8.9") for text in (*whole, TEXTS[-1])}
    graphs |= {
        f"residual {text}": (lowered(residual(), text, {"x": pictures}), PICTURES, "8.9") for text in ("int8_minmax", "int8_minmax+fp16")
    }
    graphs |= {f"old {text}": (lowered(small(), text, {"x": rows}), ROWS, target) for text, target in TOO_OLD.items()}
    asked = {}
    for number, (name, (graph, ranges, target)) in enumerate(graphs.items()):
        onnx.save(graph, folder / f"{number}.onnx")
        asked[name] = (str(folder / f"{number}.onnx"), ranges, target)
    request, answer = folder / "request.json", folder / "answer.json"
    request.write_text(json.dumps(asked))
    subprocess.run(
        [sys.executable, "-m", "tests.variants.rtx_probe", str(request), str(answer)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=300,
    )
    found: dict[str, tuple[str, list[str]]] = json.loads(answer.read_text())
    return found


def test_every_precision_and_composition_is_built(answers: dict[str, tuple[str, list[str]]]) -> None:
    refused = {name: why for name, (why, _) in answers.items() if why and not name.startswith("old ")}
    assert not refused
    assert sum(not name.startswith("old ") for name in answers) >= len(discover("variants.precisions", Precision)) + 10


@pytest.mark.parametrize("text", TOO_OLD)
def test_a_compute_capability_without_the_type_is_refused_by_the_builder_and_told_before(
    text: str, answers: dict[str, tuple[str, list[str]]]
) -> None:
    why, _ = answers[f"old {text}"]
    assert "HW-specific datatypes" in why
    backend = discover("bench.backends", Backend)["tensorrt_rtx"].value
    told = refusal(text, backend, TOO_OLD[text])
    assert f"{text} needs compute capability {find(text).value.needs} or later, not {TOO_OLD[text]}" in told
    assert "compute_capability in the preset" in told
    assert not refusal(text, backend, find(text).value.needs)


def test_the_skip_connection_of_a_convolution_is_quantised_once() -> None:
    after = lowered(residual(), "int8_minmax", {"x": np.ones((2, 8, 8, 8), np.float32)})
    readers = {n.output[0]: n for n in after.graph.node}
    (add,) = (n for n in after.graph.node if n.op_type == "Add")
    assert add.input[0] == "b", "what the convolution writes is added in the high precision"
    assert readers[add.input[1]].op_type == "DequantizeLinear"
    quantised = [n.input[0] for n in after.graph.node if n.op_type == "QuantizeLinear"]
    assert sorted(quantised) == ["r", "x"], "one Q of r for both of its readers"
    assert {t.data_type for t in after.graph.initializer} >= {TensorProto.INT8}
