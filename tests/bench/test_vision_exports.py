"""The tiny vision models as exported: PyTorch's numbers on three shapes, the publications' operators, and NVIDIA's parser takes them."""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path

import onnx
import pytest

from bench.backend import BuildOptions
from bench.export_check import refuse_difference
from variants.export import export
from variants.find import find
from variants.shapes import inputs_at

FAMILIES = ["uniformer_s", "dab_detr_r50"]


@pytest.fixture(scope="module", params=FAMILIES)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Name and file; the export has been compared with PyTorch on the family's three shapes."""
    variant = find(request.param).value
    if reason := variant.unavailable():
        pytest.skip(reason)
    path = tmp_path_factory.mktemp(request.param) / "model.onnx"
    refuse_difference(variant, export(variant, path), path, 1)
    return request.param, path


def test_it_is_a_valid_model_with_free_batch_height_and_width(exported: tuple[str, Path]) -> None:
    name, path = exported
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    images = model.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in images] == ["batch", 3, "height", "width"]
    assert {tuple(sorted(sizes)) for sizes in find(name).value.check_shapes} == {("batch", "height", "width")}
    assert len({tuple(sizes.values()) for sizes in find(name).value.check_shapes}) >= 3


WRITTEN_OUT = {
    "uniformer_s": {"Conv": 25, "BatchNormalization": 7, "Softmax": 3, "Erf": 6, "Sqrt": 10},
    "dab_detr_r50": {"Conv": 18, "PRelu": 4, "Softmax": 6, "Resize": 1, "CumSum": 2, "ScatterND": 12},
}
KNOWN = {"uniformer_s": "/blocks3.0/attn/qkv/MatMul", "dab_detr_r50": "/model/encoder/layers.0/fc1/MatMul"}


def test_its_nodes_are_the_layers_of_the_network_and_named_after_them(exported: tuple[str, Path]) -> None:
    name, path = exported
    nodes = onnx.load(path).graph.node
    found = Counter(node.op_type for node in nodes)
    assert {op: found[op] for op in WRITTEN_OUT[name]} == WRITTEN_OUT[name]
    assert KNOWN[name] in {node.name for node in nodes}


def test_nvidias_parser_and_builder_take_it(exported: tuple[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    backend = importlib.import_module("bench.backends.tensorrt_rtx").tensorrt_rtx
    name, path = exported
    shapes = tuple((key, array.shape) for key, array in inputs_at(find(name).value, {"batch": 2}).items())
    info = backend.build(path, tmp_path / "plan", BuildOptions(shapes=shapes, threads=1, compute_capability="8.9", limit_s=120))
    assert info.rejection == ""
    assert (tmp_path / "plan").stat().st_size > 100_000
