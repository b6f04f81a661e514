"""Time by ONNX node in engines that others profiled."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import onnx
import pytest

from reports.layers.attribution import NO_NODE, attribute
from reports.layers.division import Costs
from reports.layers.read import read
from tests.reports.layers.onnx_builders import costs, node

CORPUS = Path(__file__).resolve().parents[4] / "shared" / "corpus" / "fuzzylabs__edge-vision-power-estimation"


@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus of real files is not beside this checkout")
@pytest.mark.parametrize(("name", "convolutions"), [("resnet18", 20), ("mobilenet_v2", 52), ("alexnet", 5)])
def test_the_metadata_of_real_engines_names_every_convolution_and_it_has_most_of_the_time(name: str, convolutions: int) -> None:
    of = read([CORPUS / f"torch_onnx_trtexec__{name}__{name}_fp16.profile.json"])
    found = attribute(of)
    assert math.fsum(one.time_us for one in found.nodes) == pytest.approx(of.sum_us, rel=1e-12)
    convs = [one for one in found.nodes if one.type == "Conv"]
    assert len(convs) == convolutions
    assert all(one.module == one.name.strip("/").removesuffix("/Conv") for one in convs)
    gemms = [one for one in found.nodes if one.type == "Gemm"]
    assert sum(one.share for one in (*convs, *gemms)) > 0.6


@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus of real files is not beside this checkout")
def test_a_real_resnet18_with_its_graph_divides_its_fused_layers() -> None:
    """The graph is rebuilt from torchvision's definition, under the names in the engine's metadata."""
    of = read([CORPUS / "torch_onnx_trtexec__resnet18__resnet18_fp16.profile.json"])
    found = attribute(of, resnet18())
    assert (found.absent, found.working, found.notes) == (1, (), ())  # Flatten, a view
    assert math.fsum(one.time_us for one in found.nodes) == pytest.approx(of.sum_us, rel=1e-12)
    totals = {total.name: total.time_us for total in found.types()}
    assert totals["Conv"] > 10 * totals["Relu"] > 0
    time = {one.name: one.time_us for one in found.nodes}
    assert time["/layer1/layer1.0/Add"] > time["/layer1/layer1.0/relu_1/Relu"]
    own = [one for one in of.layers if one.name.startswith(("Reformatting", "dummy_shape_call"))]
    assert math.fsum(one.time_us for one in found.nodes if one.name.startswith(NO_NODE)) == pytest.approx(
        sum(one.mean_us or 0 for one in own)
    )


def resnet18() -> Costs:
    nodes: list[onnx.NodeProto] = []
    weights: dict[str, Any] = {"fc.w": [1000, 512]}

    def conv(source: str, path: str, channels: tuple[int, int], size: int, stride: int) -> str:
        weights[f"{path}.w"] = [channels[1], channels[0], size, size]
        pads, strides = [size // 2] * 4, [stride] * 2
        nodes.append(node("Conv", f"{source} {path}.w", path, name=f"/{path}/Conv", pads=pads, strides=strides))
        return path

    def relu(source: str, path: str) -> str:
        nodes.append(node("Relu", source, path, name=f"/{path}/Relu"))
        return path

    last = relu(conv("input", "conv1", (3, 64), 7, 2), "relu")
    nodes.append(node("MaxPool", last, "pooled", name="/maxpool/MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4))
    last, width = "pooled", 64
    for stage in range(1, 5):
        for block in range(2):
            path, out, stride = f"layer{stage}/layer{stage}.{block}", 32 << stage, 2 if stage > 1 and not block else 1
            inner = relu(conv(last, f"{path}/conv1", (width, out), 3, stride), f"{path}/relu")
            inner = conv(inner, f"{path}/conv2", (out, out), 3, 1)
            side = conv(last, f"{path}/downsample/downsample.0", (width, out), 1, 2) if stride == 2 else last
            nodes.append(node("Add", f"{inner} {side}", f"{path}/sum", name=f"/{path}/Add"))
            last, width = relu(f"{path}/sum", f"{path}/relu_1"), out
    nodes.append(node("GlobalAveragePool", last, "mean", name="/avgpool/GlobalAveragePool"))
    nodes.append(node("Flatten", "mean", "flat", name="/Flatten"))
    nodes.append(node("Gemm", "flat fc.w", "output", name="/fc/Gemm", transB=1))
    return costs(nodes, {"input": [1, 3, 224, 224]}, "output", weights)
