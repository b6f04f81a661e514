"""The real model, run by the real ONNX Runtime: its trace and its ONNX file say together where the time went."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from bench.artefacts import Artefacts
from bench.cache import Cache
from bench.phases import Phases
from reports.case import Case
from reports.layers.attribution import NO_NODE, Attribution, attribute, summary
from reports.layers.division import costs_for
from reports.layers.profile import Profile
from reports.layers.read import read


@pytest.fixture(scope="module")
def graph(shared_cache: Path) -> Path:
    return Artefacts(Cache(shared_cache)).transformed(Case("vit_digits", (), "fp32", 8, "onnxruntime"), Phases()).graph.path


def profiled(graph: Path, folder: Path, level: ort.GraphOptimizationLevel) -> Profile:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level, options.graph_optimization_level = 1, 3, level
    options.enable_profiling, options.profile_file_prefix = True, str(folder / "vit")
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    for _ in range(4):
        session.run(None, {"images": np.ones((8, 1, 32, 32), np.float32)})
    return read([Path(session.end_profiling())])


def attributed(graph: Path, folder: Path, level: ort.GraphOptimizationLevel) -> tuple[Profile, Attribution]:
    found = profiled(graph, folder, level)
    return found, attribute(found, costs_for(found, graph, {"batch": 8}))


def test_without_optimisations_every_node_is_measured_and_every_part_found(graph: Path, tmp_path: Path) -> None:
    found, by_node = attributed(graph, tmp_path, ort.GraphOptimizationLevel.ORT_DISABLE_ALL)
    assert math.fsum(row.time_us for row in by_node.nodes) == pytest.approx(found.sum_us, rel=1e-12)
    assert by_node.estimated_us == 0
    assert by_node.working == (), "only casts of shapes may be left out"
    assert not any(row.name.startswith(NO_NODE) for row in by_node.nodes)
    nodes = {total.name: total.nodes for total in by_node.groups()}
    assert (nodes["LayerNorm"], nodes["GELU"], nodes["attention"]) == (13 * 9, 6 * 5, 6 * 4)
    assert {"self-attention", "MLP", "LayerNorm"} <= {total.name for total in by_node.parts()}


def test_with_fusions_their_time_goes_to_the_nodes_they_replaced(graph: Path, tmp_path: Path) -> None:
    found, by_node = attributed(graph, tmp_path, ort.GraphOptimizationLevel.ORT_ENABLE_ALL)
    assert math.fsum(row.time_us for row in by_node.nodes) == pytest.approx(found.sum_us, rel=1e-12)
    fused = {layer.type: 0.0 for layer in found.layers}
    for layer in found.layers:
        fused[layer.type] += layer.mean_us or 0.0
    groups = {total.name: total for total in by_node.groups()}
    assert groups["LayerNorm"].time_us == pytest.approx(fused["LayerNormalization"])
    assert groups["GELU"].time_us == pytest.approx(fused["Gelu"])
    assert groups["LayerNorm"].estimated_us == groups["GELU"].estimated_us == 0
    assert sum(total.share for total in by_node.parts() if total.name in ("self-attention", "MLP")) > 0.5
    assert "self-attention is " in summary(by_node) or "MLP is " in summary(by_node)
    assert {name.rsplit("/", 1)[1].split("_")[0] for name in by_node.working} <= {"Mul", "Transpose"}, "folded into FusedMatMul"
