"""--source onnx,api: what is built layer by layer, what is left out and why, and how it stands beside the export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from bench.artefacts import Artefacts
from bench.backend import BuildOptions
from bench.cache import Cache
from bench.environment import environment
from bench.matrix import AXES, baseline_of, choose, plan, presets
from bench.pipeline import Pipeline
from common.errors import UserError
from reports.case import API, Case
from reports.record import Built, Unsupported
from reports.run import PLAIN
from variants.api_network import write
from variants.find import find


def left_out(**given: str) -> dict[str, str]:
    defaults = {
        "variants": "bert",
        "sources": "onnx,api",
        "passes": "none",
        "precisions": "fp32",
        "batches": "2",
        "backends": "tensorrt_rtx",
    }
    return {cell.case.id: cell.left_out for cell in plan(choose("quick", {axis: (defaults | given).get(axis) for axis in AXES}))}


def test_a_network_of_the_api_is_a_case_of_its_own_and_its_id_says_so() -> None:
    assert left_out() == {"bert:tiny-none-fp32-b2-tensorrt_rtx": "", "bert:tiny-api-fp32-b2-tensorrt_rtx": ""}
    assert baseline_of(Case("bert:tiny", (), "fp16", 2, "tensorrt_rtx", API)) == Case("bert:tiny", (), PLAIN, 2, "tensorrt_rtx")


def test_without_the_option_nothing_is_built_layer_by_layer() -> None:
    assert not [cell for name in presets() for cell in plan(choose(name, {})) if cell.case.source == API]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"backends": "onnxruntime"}, "this backend reads ONNX only"),
        ({"passes": "fold"}, "graph passes rewrite ONNX"),
        ({"precisions": "int8_minmax"}, "in fp32 or fp16"),
        ({"variants": "vit_digits"}, "vit_digits is not written layer by layer; bert, uniformer_s, vit are"),
    ],
)
def test_a_cell_without_such_a_network_is_left_out_with_its_reason(given: dict[str, str], why: str) -> None:
    onnx, api = left_out(**given).values()
    assert onnx == ""
    assert why in api


def test_an_unknown_source_is_refused_with_those_there_are() -> None:
    with pytest.raises(UserError, match=r"unknown source 'apis'.*did you mean 'api'"):
        left_out(sources="apis")


@pytest.fixture
def run(shared_cache: Path) -> Callable[[Case], object]:
    pipeline = Pipeline("test", environment(1), Artefacts(Cache(shared_cache)), msgspec.structs.replace(presets()["quick"], cap_s=0.1))
    return lambda case: pipeline.run(case).outcome


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_it_is_built_for_a_compute_capability_without_a_gpu(run: Callable[[Case], object], precision: str) -> None:
    pytest.importorskip("tensorrt_rtx")
    outcome = run(Case("bert:tiny", (), precision, 2, "tensorrt_rtx", API))
    assert isinstance(outcome, Built), outcome
    assert outcome.target == "compute capability 8.9"


def test_a_case_that_has_none_is_never_run_as_onnx(run: Callable[[Case], object]) -> None:
    assert isinstance(run(Case("vit_digits", (), "fp32", 2, "onnxruntime", API)), Unsupported)


def test_weights_of_another_model_are_rejected_in_a_sentence(tmp_path: Path) -> None:
    backend = pytest.importorskip("bench.backends.tensorrt_rtx").tensorrt_rtx
    pytest.importorskip("tensorrt_rtx")
    model = tmp_path / "weights"
    write(find("bert").value, "bert:tiny", model)
    with safe_open(model, framework="numpy") as file:
        described, arrays = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    shapes = tuple((name, (2, 32)) for name in ("input_ids", "attention_mask"))
    options = BuildOptions(shapes, 1, "8.9", 120.0, source=API)
    for changed, why in (
        ({"model.bert.pooler.dense.weight": np.ones((2, 2), np.float32)}, "bert leaves 1 weights unused (model.bert.pooler.dense.weight)"),
        ({"model.cls.predictions.bias": None}, "model.cls.predictions.bias is not among the weights"),
    ):
        save_file({name: array for name, array in (arrays | changed).items() if array is not None}, model, metadata=described)
        info = backend.build(model, tmp_path / "plan", options)
        assert why in info.rejection
        assert (tmp_path / "plan").read_bytes() == b""
