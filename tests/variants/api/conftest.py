"""Each model of variants/api in its smallest size, twice as a TensorRT network: from ONNX, and through the network API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
import torch

from common.discover import discover
from variants.api_layers import Layers
from variants.api_network import PACKAGE, ApiNetwork, define, write
from variants.export import export
from variants.find import find
from variants.models import bert
from variants.variant import Array, Variant

if TYPE_CHECKING:
    import tensorrt_rtx as trt

OPSET = 20
"""Where LayerNorm and GELU are operators of ONNX, as they are layers of TensorRT."""
UNMASKED = "bert without a mask"


@dataclass(frozen=True)
class Both:
    """The same variant from either source; `kept` is what TensorRT points to."""

    name: str
    kept: Sequence[object]
    layers: Layers
    variant: Variant
    module: torch.nn.Module
    api: trt.INetworkDefinition
    onnx: trt.INetworkDefinition

    @property
    def weights(self) -> dict[str, Array]:
        """The module's, by the names of its state dict; counters of training steps left out."""
        return {name: tensor.numpy() for name, tensor in self.module.state_dict().items() if tensor.is_floating_point()}


def variant(name: str) -> Variant:
    """Of the default size, at an opset whose operators are TensorRT's layers."""
    if name != UNMASKED:
        return find(f"{name}:opset{OPSET}").value
    size = bert.Size(width=64, depth=3, heads=2, vocabulary=2000, positions=128, best=32, mask=False)
    return replace(bert._variant(size), opset=OPSET)


@pytest.fixture(scope="session", params=[*discover(PACKAGE, ApiNetwork), UNMASKED])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    """Made once a model."""
    trt = pytest.importorskip("tensorrt_rtx")
    made, folder = variant(request.param), tmp_path_factory.mktemp("both")
    log = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(log)
    strong = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    api, parsed = builder.create_network(strong), builder.create_network(strong)
    module = export(made, folder / "model.onnx")
    name = request.param.split()[0]
    write(made, name, folder / "weights")
    layers = define(folder / "weights", trt, api)
    parser = trt.OnnxParser(parsed, log)
    assert parser.parse_from_file(str(folder / "model.onnx"))
    return Both(name, (log, builder, parser), layers, made, module, api, parsed)
