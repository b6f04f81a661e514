"""TensorRT-RTX through its real parser and builder: accepted, rejected, crashed, out of time."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bench.backend import BuildInfo, BuildOptions
from common.errors import UserError
from tests.bench.conftest import ROOT
from tests.variants.graphs import model, node, value
from variants.passes.layernorm_plugin import layernorm_plugin
from variants.plugin_pass import bare
from variants.variant import Array

pytest.importorskip("tensorrt_rtx")
Shape = list[str | int | None]
backend = importlib.import_module("bench.backends.tensorrt_rtx").tensorrt_rtx


def options(**changes: object) -> BuildOptions:
    defaults: dict[str, object] = {"shapes": (("x", (4, 16)),), "threads": 1, "compute_capability": "8.9", "limit_s": 120.0}
    return BuildOptions(**(defaults | changes))  # type: ignore[arg-type]


def save(folder: Path, nodes: list[onnx.NodeProto], shape: Shape, out: Shape, weights: dict[str, Array] | None = None) -> Path:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, out)],
        [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()],
    )
    path = folder / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def matmul(folder: Path) -> Path:
    weight = np.random.default_rng(0).standard_normal((16, 16)).astype(np.float32)
    return save(folder, [helper.make_node("MatMul", ["x", "w"], ["y"])], ["n", 16], ["n", 16], {"w": weight})


def build(model: Path, tmp_path: Path, **changes: object) -> tuple[BuildInfo, Path]:
    plan = tmp_path / "plan"
    return backend.build(model, plan, options(**changes)), plan


def test_an_accepted_graph_leaves_a_plan(tmp_path: Path) -> None:
    info, plan = build(matmul(tmp_path), tmp_path)
    assert info.rejection == ""
    assert info.target == "compute capability 8.9"
    assert plan.stat().st_size > 5_000


def test_what_the_parser_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    nodes = [helper.make_node("Compress", ["x", "c"], ["y"], axis=0)]
    model = save(tmp_path, nodes, [4, 4], ["m", 4], {"c": np.array([True, False, True, True])})
    info, plan = build(model, tmp_path, shapes=(("x", (4, 4)),))
    assert info.rejection
    assert plan.read_bytes() == b""


def test_attention_as_one_operator_builds_in_fp32_where_tensorrt_has_no_kernel_for_it(tmp_path: Path) -> None:
    q, k, v, y = (value(name, ("batch", 2, 16, 64)) for name in "qkvy")
    onnx.save(model([node("Attention", "q k v", "y")], inputs=[q, k, v], outputs=[y], opset=23), tmp_path / "attention.onnx")
    info, plan = build(tmp_path / "attention.onnx", tmp_path, shapes=tuple((name, (1, 2, 16, 64)) for name in "qkv"))
    assert info.rejection == ""
    assert plan.stat().st_size > 5_000


def test_what_the_builder_refuses_for_a_target_is_told_in_its_words(tmp_path: Path) -> None:
    info, _ = build(matmul(tmp_path), tmp_path, compute_capability="7.5")
    assert "Turing" in info.rejection


GROUPED = [
    helper.make_node("Reshape", ["x", "s"], ["r"]),
    helper.make_node("Conv", ["r", "w"], ["y"], pads=[1, 1, 1, 1], group=2),
]
CONSTANTS: dict[str, Array] = {"s": np.array([0, -1, 8, 8], np.int64), "w": np.zeros((8, 4, 3, 3), np.float32)}
IN: Shape = ["n", 4, "h", 8]
OUT: Shape = ["n", 8, 8, 8]


def test_a_shape_that_breaks_a_constraint_of_the_graph_is_rejected(tmp_path: Path) -> None:
    """Sixteen rows of 4 channels become the 8 channels that the weights are for, 24 rows do not."""
    model = save(tmp_path, GROUPED, IN, OUT, CONSTANTS)
    assert build(model, tmp_path, shapes=(("x", (1, 4, 16, 8)),))[0].rejection == ""
    info, plan = build(model, tmp_path, shapes=(("x", (1, 4, 24, 8)),))
    assert "kernel weights has count 288 but 432 was expected" in info.rejection
    assert plan.read_bytes() == b""


WARNED = """
import sys, tensorrt_rtx as trt
from bench.backends._rtx_worker import Log, refusal
log = Log()
builder = trt.Builder(log)
network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
assert trt.OnnxParser(network, log).parse_from_file(sys.argv[1])
config, profile = builder.create_builder_config(), builder.create_optimization_profile()
config.num_compute_capabilities = 1
config.set_compute_capability(trt.ComputeCapability.SM89, 0)
profile.set_shape("x", (1, 4, 8, 8), (1, 4, 16, 8), (1, 4, 16, 8))
config.add_optimization_profile(profile)
built = builder.build_serialized_network(network, config) is not None
print(built, "|", refusal(built, log))
"""


def test_a_profile_that_tensorrt_only_warns_about_is_a_refusal(tmp_path: Path) -> None:
    model = save(tmp_path, GROUPED, IN, OUT, CONSTANTS)
    done = subprocess.run([sys.executable, "-c", WARNED, str(model)], cwd=ROOT, capture_output=True, text=True, check=True)
    built, refused = done.stdout.strip().splitlines()[-1].split(" | ")
    assert built == "True"
    assert "kMIN values are not self-consistent" in refused


def test_an_unknown_compute_capability_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"compute capability 1\.2 is not known.*8\.9"):
        build(matmul(tmp_path), tmp_path, compute_capability="1.2")


def test_a_file_that_is_not_onnx_is_rejected_not_crashed(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"not a model")
    info, _ = build(model, tmp_path)
    assert info.rejection


NODE = model([node("LayerNormalization", "x scale bias", "y")], {"scale": [2.0] * 8, "bias": [1.0] * 8}, opset=17)


def test_a_plugin_node_is_refused_in_a_sentence_once_its_function_is_gone(tmp_path: Path) -> None:
    """Why a pipeline that places a kernel is left out here, and why TensorRT is handed `bare(model)`: see variants/plugin_pass.py."""
    placed, _ = layernorm_plugin.at("v5_hopper").run(NODE)
    path, shapes = tmp_path / "model.onnx", (("x", (2, 4, 8)),)
    onnx.save(bare(placed), path)
    info, plan = build(path, tmp_path, shapes=shapes)
    assert "Plugin not found" in info.rejection
    assert plan.read_bytes() == b""
    onnx.save(placed, path)
    assert build(path, tmp_path, shapes=shapes)[0].rejection == "", "NVIDIA's parser builds the function and says nothing"


def test_a_build_over_its_time_limit_is_ended_and_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"timed out: no plan within 0\.05 s"):
        build(matmul(tmp_path), tmp_path, limit_s=0.05)


def test_a_crash_of_the_builder_is_reported_and_takes_nothing_with_it(tmp_path: Path) -> None:
    model = matmul(tmp_path)

    def kill_the_worker() -> None:
        while True:
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    if b"_rtx_worker" in entry.read_bytes() and str(model).encode() in entry.read_bytes():
                        os.kill(int(entry.parent.name), signal.SIGABRT)
                        return
                except OSError:
                    continue
            time.sleep(0.001)

    killer = threading.Thread(target=kill_the_worker, daemon=True)
    killer.start()
    with pytest.raises(UserError, match="crashed: killed by SIGABRT"):
        build(model, tmp_path)


def test_the_identity_names_what_a_plan_depends_on() -> None:
    first, second = dict(backend.identity(options())), dict(backend.identity(options(shapes=(("x", (8, 16)),))))
    assert first["compute capability"] == "8.9"
    assert first["TF32"] == "off"
    assert first != second
