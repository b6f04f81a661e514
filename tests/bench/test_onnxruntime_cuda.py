"""ONNX Runtime's CUDA backend: what it says without a GPU, and what it does around ONNX Runtime, on the CPU and on stand-ins."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from bench.backend import BuildOptions
from bench.backends import _onnxruntime_cuda as cuda
from bench.backends._onnxruntime import Providers, opened
from bench.backends._onnxruntime_device import DeviceSession, blank
from bench.backends.onnxruntime_cuda import onnxruntime_cuda
from bench.backends.onnxruntime_cuda_launches import onnxruntime_cuda_launches
from common.errors import UserError
from tests.bench.conftest import ROOT, run_bench
from variants.variant import Array

OPTIONS = BuildOptions((("x", (2, 3)),), 1, "9.0", 60)
CPU: Providers = (("CPUExecutionProvider", {}),)
REFUSAL = "This session cannot use the graph capture feature as requested by the user as all compute graph nodes have not been partitioned"


@pytest.fixture
def doubled(tmp_path: Path) -> Path:
    """y = x + x with a free first dimension."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
    )
    path = tmp_path / "model"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.fixture
def session(doubled: Path) -> DeviceSession:
    """The real class with the CPU in the GPU's place."""
    return DeviceSession(opened(doubled, ort.SessionOptions(), CPU), "cpu")


def rows(count: int, value: float) -> dict[str, Array]:
    return {"x": np.full((count, 3), value, np.float32)}


def test_outputs_are_those_of_the_inputs_of_each_run_at_every_shape(session: DeviceSession) -> None:
    for count, value in ((2, 1.0), (5, 2.0), (2, 3.0), (5, 4.0)):
        np.testing.assert_array_equal(session.run(rows(count, value))["y"], np.full((count, 3), 2 * value))


def test_a_later_run_changes_neither_earlier_outputs_nor_the_caller_s_inputs(session: DeviceSession) -> None:
    feeds = rows(2, 1.0)
    first = session.run(feeds)["y"]
    session.run(rows(2, 5.0))
    np.testing.assert_array_equal(first, np.full((2, 3), 2.0))
    np.testing.assert_array_equal(feeds["x"], np.full((2, 3), 1.0))


def test_every_shape_keeps_the_addresses_that_a_captured_graph_replays_on(session: DeviceSession) -> None:
    session.run(rows(2, 1.0))
    (shape,) = session._bound
    before = [value.data_ptr() for value in (*session._bound[shape].inputs.values(), *session._bound[shape].outputs.values())]
    session.run(rows(4, 1.0))
    session.bind(rows(2, 7.0))()
    after = session._bound[shape]
    assert [value.data_ptr() for value in (*after.inputs.values(), *after.outputs.values())] == before
    np.testing.assert_array_equal(after.outputs["y"].numpy(), np.full((2, 3), 14.0))


def test_shapes_have_graphs_of_their_own_and_no_first_run_is_captured(session: DeviceSession, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = session.session.run_with_iobinding

    def run(binding: object, options: Any) -> None:
        asked.append(options.get_run_config_entry("gpu_graph_id"))
        real(binding, options)

    monkeypatch.setattr(session.session, "run_with_iobinding", run)
    for count in (2, 2, 5):
        session.run(rows(count, 1.0))
    assert asked == ["-1", "0", "0", "-1", "1"]


def test_blank_inputs_have_the_asked_shapes_and_the_session_s_types() -> None:
    types = {"pixels": "tensor(float)", "ids": "tensor(int64)", "half": "tensor(float16)", "mask": "tensor(bool)"}
    session = SimpleNamespace(get_inputs=lambda: [SimpleNamespace(name=name, type=kind) for name, kind in types.items()])
    made = blank(session, [("pixels", (1, 2)), ("ids", (1, 3)), ("half", (4,)), ("mask", ())])
    assert {name: (array.shape, str(array.dtype)) for name, array in made.items()} == {
        "pixels": ((1, 2), "float32"),
        "ids": ((1, 3), "int64"),
        "half": ((4,), "float16"),
        "mask": ((), "bool"),
    }


def test_without_the_gpu_build_of_onnx_runtime_it_says_what_to_install_and_imports_nothing() -> None:
    code = "import sys; from bench.backends.onnxruntime_cuda import onnxruntime_cuda as b; print(b.unavailable()); "
    code += "print(*[m for m in ('onnxruntime', 'torch', 'cuda') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    reason, imported = done.stdout.splitlines()
    assert imported == ""
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        assert reason == f"the installed onnxruntime has no CUDA provider: {cuda.INSTALL}"


NEEDED = [(False, "H200", "no CUDA provider"), (True, "", "no NVIDIA GPU"), (True, "H200", "")]


@pytest.mark.parametrize(("library", "card", "reason"), NEEDED)
def test_it_needs_the_provider_s_library_and_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: bool, card: str, reason: str
) -> None:
    (tmp_path / "capi").mkdir()
    if library:
        (tmp_path / "capi" / "libonnxruntime_providers_cuda.so").touch()
    monkeypatch.setattr(cuda, "find_spec", lambda name: SimpleNamespace(origin=str(tmp_path / "__init__.py")))
    monkeypatch.setattr(cuda, "gpu", lambda: card)
    assert reason in (onnxruntime_cuda.unavailable() or "")
    assert bool(reason) == bool(onnxruntime_cuda.unavailable())


class FakeGpu:
    """ONNX Runtime on a GPU, played by the CPU: `refuses` is what it says to capture, `on_cpu` the operators that stay on the CPU."""

    def __init__(self, refuses: str = "", on_cpu: Sequence[str] = (), provider: str = cuda.PROVIDER) -> None:
        self.refuses, self.on_cpu, self.provider = refuses, on_cpu, provider
        self.asked: list[Mapping[str, str]] = []

    def opened(self, model: Path, chosen: Any, providers: Any) -> Any:
        ((name, options),) = providers
        assert name == cuda.PROVIDER
        self.asked.append(options)
        if options["enable_cuda_graph"] == "1" and self.refuses:
            raise RuntimeError(self.refuses)
        real = opened(model, chosen, CPU)
        nodes = [SimpleNamespace(op_type=op) for op in self.on_cpu]
        placed = [SimpleNamespace(ep_name="CPUExecutionProvider", get_nodes=lambda: nodes)]
        real.get_provider_graph_assignment_info = lambda: placed
        real.get_providers = lambda: [self.provider, "CPUExecutionProvider"]
        return real

    def play(self, monkeypatch: pytest.MonkeyPatch) -> FakeGpu:
        monkeypatch.setattr("bench.backends._onnxruntime.opened", self.opened)
        monkeypatch.setattr(cuda, "DEVICE", "cpu")
        monkeypatch.setattr(cuda, "gpu", lambda: "NVIDIA H200, 580.1, 9.0, GPU-1")
        return self


def test_a_plan_that_is_captured_says_so_and_is_loaded_captured(doubled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card, plan = FakeGpu().play(monkeypatch), tmp_path / "plan"
    info = onnxruntime_cuda.build(doubled, plan, OPTIONS)
    assert (info.target, info.warnings, info.rejection) == ("NVIDIA H200", (cuda.CAPTURED,), "")
    loaded = onnxruntime_cuda.load(plan, OPTIONS)
    assert card.asked[-1]["enable_cuda_graph"] == "1"
    np.testing.assert_array_equal(loaded.run(rows(2, 3.0))["y"], np.full((2, 3), 6.0))


def test_a_plan_that_is_not_captured_runs_launch_by_launch_under_onnx_runtime_s_own_reason(
    doubled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card, plan = FakeGpu(REFUSAL, ["Shape", "Gather", "Shape"]).play(monkeypatch), tmp_path / "plan"
    info = onnxruntime_cuda.build(doubled, plan, OPTIONS)
    assert info.warnings == (f"no CUDA graph: {REFUSAL}", "3 nodes on the CPU: 2 Shape, 1 Gather")
    np.testing.assert_array_equal(onnxruntime_cuda.load(plan, OPTIONS).run(rows(2, 1.0))["y"], np.full((2, 3), 2.0))
    assert card.asked[-1]["enable_cuda_graph"] == "0"


def test_nodes_on_the_cpu_of_a_captured_plan_are_said_to_run_at_capture_only(
    doubled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeGpu(on_cpu=["Shape"]).play(monkeypatch)
    info = onnxruntime_cuda.build(doubled, tmp_path / "plan", OPTIONS)
    assert info.warnings == (cuda.CAPTURED, "1 nodes on the CPU: 1 Shape; they ran when it was captured, a replay runs none of them")


def test_a_plan_that_was_captured_when_built_never_runs_otherwise(doubled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card, plan = FakeGpu().play(monkeypatch), tmp_path / "plan"
    onnxruntime_cuda.build(doubled, plan, OPTIONS)
    card.refuses = "out of memory"
    with pytest.raises(RuntimeError, match="out of memory"):
        onnxruntime_cuda.load(plan, OPTIONS)


def test_the_backend_of_single_launches_asks_for_no_graph(doubled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card, plan = FakeGpu().play(monkeypatch), tmp_path / "plan"
    info = onnxruntime_cuda_launches.build(doubled, plan, OPTIONS)
    onnxruntime_cuda_launches.load(plan, OPTIONS)
    assert {asked["enable_cuda_graph"] for asked in card.asked} == {"0"}
    assert info.warnings == ("no CUDA graph: this backend launches each kernel",)


def test_what_onnx_runtime_refuses_to_build_is_a_rejection_in_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeGpu().play(monkeypatch)
    (tmp_path / "model").write_bytes(b"no model")
    info = onnxruntime_cuda.build(tmp_path / "model", tmp_path / "plan", OPTIONS)
    assert "Protobuf parsing failed" in info.rejection


def test_where_cuda_s_libraries_are_missing_nothing_runs_on_the_cpu_under_the_gpu_s_name(
    doubled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeGpu(provider="CPUExecutionProvider").play(monkeypatch)
    with pytest.raises(UserError, match=r"libraries cannot be loaded, so it would run on the CPU: pip uninstall"):
        onnxruntime_cuda.build(doubled, tmp_path / "plan", OPTIONS)


def test_a_plan_s_identity_names_every_option_and_what_it_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "gpu", lambda: "NVIDIA H200, 580.1, 9.0, GPU-1")
    found, launches = dict(onnxruntime_cuda.identity(OPTIONS)), dict(onnxruntime_cuda_launches.identity(OPTIONS))
    assert found["GPU, driver"] == "NVIDIA H200, 580.1, 9.0, GPU-1"
    assert (found["use_tf32"], found["cudnn_conv_algo_search"], found["shapes"]) == ("0", "EXHAUSTIVE", "x 2x3")
    assert {"onnxruntime", "nvidia-cublas", "nvidia-cudnn-cu13"} <= found.keys()
    assert (found["enable_cuda_graph"], launches["enable_cuda_graph"]) == ("1", "0")


def test_tf32_is_on_where_the_precision_asks_for_it_and_no_other_flag_is_taken() -> None:
    tf32 = replace(OPTIONS, flags=("TF32",))
    assert dict(onnxruntime_cuda.identity(tf32))["use_tf32"] == "1"
    assert onnxruntime_cuda.why_no_flags(("TF32",)) is None
    assert "no option for SPARSE" in (onnxruntime_cuda.why_no_flags(("TF32", "SPARSE")) or "")


def test_plans_are_for_the_gpu_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "gpu", lambda: "NVIDIA H200, 580.1, 9.0, GPU-1")
    assert onnxruntime_cuda.built_for("8.9") == "9.0"


def test_onnx_runtime_s_operators_are_taken_and_plugins_are_not() -> None:
    assert onnxruntime_cuda.why_no_operators("com.microsoft") is None
    assert "TensorRT only" in (onnxruntime_cuda.why_no_operators("trtbench") or "")


@pytest.mark.skipif("CUDAExecutionProvider" in ort.get_available_providers(), reason="this machine may have a GPU")
def test_a_run_without_a_gpu_skips_its_cases_with_the_reason(tmp_path: Path, shared_cache: Path) -> None:
    axes = ("--backends", "onnxruntime_cuda", "--passes", "none", "--precisions", "fp32", "--batches", "1")
    done = run_bench(*axes, results=tmp_path, cache=shared_cache)
    assert done.returncode == 0
    assert "pip install 'onnxruntime-gpu[cuda,cudnn]'" in (tmp_path / "latest" / "records.jsonl").read_text()
