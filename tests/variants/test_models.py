"""What every model must hold: a new file in variants/models is tested by being there, at its first size."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from bench.artefacts import Artefacts
from bench.cache import Cache
from bench.phases import Phases
from common.discover import discover
from reports.case import Case
from tests.variants.graphs import opset
from variants.export import reference
from variants.find import find
from variants.shapes import free_axes, inputs_at
from variants.variant import BATCH, Model, Variant

MODELS = [name for name in discover("variants.models", Model) if not find(name).value.why_not(find(name).value.only_batch or 1)]
every_model = pytest.mark.parametrize("name", MODELS)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all processes of a test run: each model is exported once."""
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "models"


@cache
def exported(name: str, folder: Path) -> onnx.ModelProto:
    """The export as a case gets it: it agreed with PyTorch on every shape of its `check_shapes`, or there is none."""
    variant = find(name)
    case = Case(variant.name, (), "fp32", variant.value.only_batch or 1, "onnxruntime")
    return onnx.load(Artefacts(Cache(folder)).transformed(case, Phases()).graph.path)


@every_model
def test_a_model_is_exported_as_it_computes_and_is_valid(name: str, folder: Path) -> None:
    graph = exported(name, folder)
    onnx.checker.check_model(graph, full_check=True)
    assert opset(graph) == find(name).value.opset


@every_model
def test_it_is_compared_on_at_least_three_shapes_in_range(name: str) -> None:
    variant = find(name).value
    assert len({tuple(sorted(sizes.items())) for sizes in variant.check_shapes}) >= 3
    for sizes in variant.check_shapes:
        assert set(sizes) <= {BATCH, *variant.ranges}
        assert all(array.size for array in inputs_at(variant, sizes).values())
    for dimension, (low, best, high) in variant.ranges.items():
        assert 1 <= low <= best <= high
        assert dimension == BATCH or len({sizes.get(dimension, best) for sizes in variant.check_shapes}) > 1


@every_model
def test_exactly_the_declared_dimensions_are_free_and_keep_their_names(name: str, folder: Path) -> None:
    variant, graph = find(name).value, exported(name, folder).graph
    for value in graph.input:
        found = {axis: dim.dim_param for axis, dim in enumerate(value.type.tensor_type.shape.dim) if not dim.dim_value}
        assert found == {axis: dim for axis, dim in free_axes(variant, value.name).items() if axis or not variant.only_batch}
    assert [value.name for value in graph.input] == list(variant.inputs("test"))
    assert [value.name for value in graph.output] == list(variant.outputs)


@every_model
def test_nodes_are_named_after_the_module_they_come_from(name: str, folder: Path) -> None:
    graph = exported(name, folder).graph
    names = [node.name for node in graph.node]
    assert all(names)
    assert len(set(names)) == len(names)
    work = [node.name for node in graph.node if node.op_type in ("MatMul", "Gemm", "Conv", "Softmax", "LayerNormalization", "Erf")]
    paths = set(_modules(find(name).value))
    assert work
    for path in work:
        assert _possible(path) & paths, f"{path} is not inside a module"


def _possible(path: str) -> set[str]:
    """ "/stem/stem.0/Conv" -> "stem.0": a Sequential stands before its part that works; a module called again has a number."""
    inside = path.strip("/").rsplit("/", 1)[0] if path.count("/") > 1 else ""
    joined = [re.sub(r"(^|/)([^/]+)/(?=\2\.)", r"\1", spelt) for spelt in (inside, re.sub(r"_\d+(?=/|$)", "", inside))]
    return {spelt.replace("/", ".") for spelt in joined}


def _modules(variant: Variant) -> set[str]:
    return {name for name, _ in variant.module().named_modules()}


@every_model
def test_the_splits_share_no_input_and_the_metric_can_fail(name: str) -> None:
    variant = find(name).value
    test, calibration = variant.inputs("test"), variant.inputs("calibration")
    assert list(test) == list(calibration)
    assert any(not np.array_equal(test[key][:1], calibration[key][:1]) for key in test)
    expected = reference(variant)
    assert variant.agreement(expected, expected) == 1
    draw = np.random.default_rng(0)
    noise = {key: (array + draw.normal(0, 3 * array.std() + 1, array.shape)).astype(array.dtype) for key, array in expected.items()}
    assert variant.agreement(noise, expected) < 0.98
    if variant.score is not None:
        assert variant.score(noise) < variant.score(expected)


@every_model
def test_tiny_weighs_less_than_five_megabytes(name: str, folder: Path) -> None:
    if ":tiny" in find(name).name:
        assert sum(len(tensor.raw_data) for tensor in exported(name, folder).graph.initializer) < 5_000_000


def test_layer_normalisation_is_decomposed_at_13_one_node_at_17_and_gelu_at_20(folder: Path) -> None:
    counts = {}
    for number in (13, 17, 20):
        graph = exported(f"vit:fashion:opset{number}", folder)
        kinds = [node.op_type for node in graph.graph.node]
        counts[number] = (kinds.count("LayerNormalization"), kinds.count("Gelu"), kinds.count("Erf"))
        assert opset(graph) == number
    assert counts == {13: (0, 0, 4), 17: (9, 0, 4), 20: (9, 4, 0)}


def test_a_static_export_has_no_free_dimension(folder: Path) -> None:
    graph = exported("bert:tiny:static", folder).graph
    dims = [dim for value in (*graph.input, *graph.output) for dim in value.type.tensor_type.shape.dim]
    assert all(dim.dim_value for dim in dims)
    assert graph.input[0].type.tensor_type.elem_type == TensorProto.INT64
