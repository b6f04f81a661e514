"""Every file of the corpus is read, or refused by the one right sentence; what is read agrees with the file's own numbers."""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from common.errors import UserError
from reports.layers.layer import GROUPS
from reports.layers.profile import Profile
from reports.layers.read import read

CORPUS = Path(__file__).parents[4] / "shared" / "corpus"
pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real profiles is not here")

REFUSED = {
    r".*\.build\.metadata\.json": "is TREx's description of a build or a device",
    r".*A100__.*engine\.metadata\.json": "is TREx's description of a build or a device",
    r".*LoopStructure__log-main\.py\.log": "is a log of TensorRT in which no layer was timed or described",
    r".*AuxStream__log-main\.py\.log": "is a log of TensorRT in which no layer was timed or described",
    r".*Refit__log-main\.py\.log": "is a log of TensorRT in which no layer was timed or described",
    r".*RunExample_input\.json": "holds Polygraphy's saved arrays, no layers",
    r".*RunExample_output\.json": "holds Polygraphy's outputs of a run, no layers",
    r".*RunExample_tactics\.json": "is a Polygraphy tactic replay",
    r".*runresults_onnxrt2\.json": "holds Polygraphy's outputs of a run, no layers",
    r".*FP16_trt8203\.log": "trtexec 8.2.3 FAILED before it measured anything",
    r".*failed_trt101600\.log": "trtexec 10.16.0 FAILED before it measured anything ([TRT] ModelImporter.cpp:138",
    r".*average_power_used_by_layer\.json": "gives every name one bare number without saying of what",
    r".*_tensorrt_\d+-\d+\.json": "is JSON of a kind that is not known here (it begins with config, model, backend)",
}
"""Files without a layer or a time, and what must be said of them."""
KINDS = {
    "profile": {"exportProfile"},
    "layerinfo": {"layer information"},
    "times": {"exportTimes"},
    "ort": {"ONNX Runtime profile"},
    "other:iprofiler-dump": {"IProfiler dump"},
    "other:trex-metadata": {"TREx metadata"},
    "other:log": {"trtexec log", "IProfiler log", "layer information"},
}
FILES = {row["file"]: row["kind"] for row in csv.DictReader((CORPUS / "MANIFEST.tsv").open(), delimiter="\t")} if CORPUS.is_dir() else {}
TREX = {
    path: path.replace(".profile.", ".graph.")
    for path, kind in FILES.items()
    if kind == "profile" and "NVIDIA__TensorRT" in path and ".profile." in path
}


def of(path: str) -> Profile:
    return read([CORPUS / path], with_siblings=False)


def sentence(path: str) -> str | None:
    return next((text for pattern, text in REFUSED.items() if re.fullmatch(pattern, path)), None)


@pytest.mark.parametrize("path", FILES)
def test_it_is_read_or_refused_by_the_right_sentence(path: str) -> None:
    expected = sentence(path)
    if expected:
        with pytest.raises(UserError) as refused:
            of(path)
        assert str(refused.value).startswith(f"{CORPUS / path}: {expected}")
        return
    found = of(path)
    assert found.sources[0][1] in KINDS[FILES[path]]
    assert found.layers or found.latency_us
    assert {layer.group for layer in found.layers} <= set(GROUPS)
    if found.sum_us:
        assert sum(layer.share for layer in found.layers) == pytest.approx(1)


def test_no_exception_is_listed_for_a_file_that_is_not_there() -> None:
    for pattern in REFUSED:
        assert any(re.fullmatch(pattern, path) for path in FILES), pattern


def content(path: str) -> Any:
    return json.loads((CORPUS / path).read_bytes(), strict=False)


@pytest.mark.parametrize("path", [path for path, kind in FILES.items() if kind == "profile"])
def test_times_and_shares_are_the_files_own_to_its_last_digit(path: str) -> None:
    count, *rows = content(path)
    found = sorted(of(path).layers, key=lambda layer: layer.position)
    assert [layer.name for layer in found] == [row["name"] for row in rows]
    for layer, row in zip(found, rows, strict=True):
        assert layer.total_us == pytest.approx(row["timeMs"] * 1e3)
        assert layer.mean_us == pytest.approx(row["averageMs"] * 1e3, rel=1e-5)
        assert layer.share * 100 == pytest.approx(row["percentage"], rel=2e-5, abs=1e-6)
    total = math.fsum(row["timeMs"] for row in rows)
    assert of(path).sum_us == pytest.approx(total * 1e3 / count["count"], rel=1e-5)


@pytest.mark.parametrize("path", [path for path, kind in FILES.items() if kind == "times"])
def test_a_latency_is_the_median_of_the_files_own_times(path: str) -> None:
    values = sorted(row["computeMs"] for row in content(path))
    assert of(path).latency_us == pytest.approx(1e3 * (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2)


@pytest.mark.parametrize("path", [path for path in FILES if "dumpProfile" in path])
def test_the_table_of_a_log_sums_to_its_own_total_row(path: str) -> None:
    row = re.search(r"([\d.]+) +([\d.]+) +([\d.]+) +100\.0 +Total", (CORPUS / path).read_text())
    assert row
    found = of(path)
    assert sum(layer.total_us or 0 for layer in found.layers) == pytest.approx(float(row[1]) * 1e3, abs=5 * len(found.layers))
    assert found.sum_us == pytest.approx(float(row[2]) * 1e3, abs=0.05 * len(found.layers))


@pytest.mark.parametrize(("path", "graph"), TREX.items())
def test_types_times_and_sizes_agree_with_trex_where_it_is_right(path: str, graph: str) -> None:
    """TREx's rules on its own inputs: type ParameterType or else LayerType, time averageMs, precision of a tensor by its format."""
    found = {layer.name: layer for layer in read([CORPUS / path, CORPUS / graph]).layers}
    times = {row["name"]: row for row in content(path)[1:]}
    for raw in content(graph)["Layers"]:
        layer = found[raw["Name"]]
        assert layer.type == raw.get("ParameterType", raw["LayerType"])
        assert layer.mean_us == pytest.approx(times[raw["Name"]]["averageMs"] * 1e3, rel=1e-5)
        assert layer.median_us == pytest.approx(times[raw["Name"]]["medianMs"] * 1e3)
        words = [tensor["Format/Datatype"] for tensor in raw["Inputs"]]
        assert [tensor.precision for tensor in layer.inputs] == [next(p for p in ("FP32", "FP16", "INT8") if p in w.upper()) for w in words]
    dropped = sum(layer.share for layer in found.values() if layer.type in ("NoOp", "Constant"))
    assert sum(layer.share for layer in found.values()) == pytest.approx(1)
    assert dropped <= 0.001


def test_a_real_pair_is_joined_whole_and_a_mismatched_one_is_refused() -> None:
    (path, graph), (_, other), *_ = TREX.items()
    assert read([CORPUS / path, CORPUS / graph]).unmatched == 0
    with pytest.raises(UserError, match=r"names no layer of .*, 0 % of its time|both hold"):
        read([CORPUS / path, CORPUS / "fuzzylabs__edge-vision-power-estimation/torch_onnx_trtexec__alexnet__alexnet_fp16.graph.json"])
    assert 0 < (read([CORPUS / path, CORPUS / other]).unmatched or 0) < 1


def test_a_real_pair_of_names_only_is_joined_whole() -> None:
    folder = CORPUS / "NVIDIA__TensorRT"
    found = read([folder / "trex_history__notebooks__profile.json"])
    assert [kind for _, kind in found.sources] == ["exportProfile", "layer information"]
    assert found.unmatched == 0
