"""Networks built through the API are the model that the ONNX export is: interface, weights, operations and outputs."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from tests.variants.api.conftest import Both
from variants.api_network import define, write
from variants.shapes import inputs_at
from variants.variant import BATCH, Array

if TYPE_CHECKING:
    import tensorrt_rtx as trt

pytest.importorskip("tensorrt_rtx")
interpreter = importlib.import_module("tests.variants.api.interpreter")
Operation = tuple[Any, ...]


def interface(network: trt.INetworkDefinition) -> list[tuple[str, str, tuple[int, ...]]]:
    tensors = chain(map(network.get_input, range(network.num_inputs)), map(network.get_output, range(network.num_outputs)))
    return [(tensor.name, tensor.dtype.name, tuple(tensor.shape)) for tensor in tensors]


def test_inputs_and_outputs_are_the_parsed_ones_with_their_dynamic_dimensions(both: Both) -> None:
    assert interface(both.api) == interface(both.onnx)
    assert any(-1 in shape for _, _, shape in interface(both.api))


def weights_of(network: trt.INetworkDefinition) -> Iterator[tuple[str, Array]]:
    """Float weights with more than one element as they lie in the network, each under its layer's name."""
    for kind, layer in interpreter.layers(network):
        parts = {"constant": ("weights",), "convolution": ("kernel", "bias"), "scale": ("scale", "shift")}.get(kind, ())
        arrays = [(part, np.asarray(getattr(layer, part))) for part in parts]
        yield from ((f"{layer.name} {part}", array) for part, array in arrays if array.dtype.kind == "f" and array.size > 1)


def expected(weights: dict[str, Array]) -> dict[str, bytes]:
    """Bytes of each weight; of a batch normalisation, which is one scale layer, those of its folded scale and shift."""
    found: dict[str, bytes] = {}
    folded = {name.removesuffix("running_var") for name in weights if name.endswith("running_var")}
    for stem in folded:
        weight, bias, mean, variance = (
            weights[stem + part].astype(np.float64) for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = weight / np.sqrt(variance + 1e-5)
        found |= {f"{stem}scale": scale.astype(np.float32).tobytes(), f"{stem}shift": (bias - mean * scale).astype(np.float32).tobytes()}
    plain = {name: array.tobytes() for name, array in weights.items() if name[: name.rfind(".") + 1] not in folded}
    return found | plain


def test_every_weight_lies_in_the_network_once_byte_for_byte_and_nothing_else_does(both: Both) -> None:
    """Tied weights have the same bytes under two names and lie there once."""
    assert Counter(array.tobytes() for _, array in weights_of(both.api)) == Counter(set(expected(both.weights).values()))


def operations(network: trt.INetworkDefinition) -> Iterator[Operation]:
    """What computes: kind, result, what it sums over or depends on, floating-point operations. Arithmetic on shapes is left out."""
    for kind, layer in interpreter.layers(network):
        shape, given = tuple(layer.get_output(0).shape), [tuple(tensor.shape) for tensor in interpreter.inputs_of(layer)]
        if kind == "matrix_multiply":
            inner = given[0][-2 if layer.op0.name == "TRANSPOSE" else -1]
            yield kind, shape, inner, 2 * prod(shape) * inner
        elif kind == "convolution":
            taken = given[0][1] // layer.num_groups * prod(layer.kernel_size_nd)
            yield kind, shape, taken, tuple(layer.stride_nd), tuple(layer.padding_nd), layer.num_groups, 2 * prod(shape) * taken
        elif kind == "softmax":
            yield kind, shape, layer.axes
        elif kind == "normalization":
            yield kind, shape, layer.axes, float(np.float32(layer.epsilon)), given[1:]
        elif kind == "activation":
            yield kind, shape, layer.type.name
        elif kind in ("scale", "reduce"):
            yield kind, shape


def fix(network: trt.INetworkDefinition, shapes: dict[str, Sequence[int]]) -> None:
    for tensor in map(network.get_input, range(network.num_inputs)):
        tensor.shape = shapes[tensor.name]  # type: ignore[assignment, unused-ignore]  # the bindings take any sequence


def test_operations_are_the_parsed_ones_layer_by_layer(both: Both) -> None:
    """Products, convolutions, softmax, normalisations, GELU: as many, over the same shapes, at the best of every range."""
    feeds = inputs_at(both.variant, {BATCH: both.variant.only_batch or 2})
    dynamic = interface(both.api)
    for network in (both.api, both.onnx):
        fix(network, {name: array.shape for name, array in feeds.items()})
    api, parsed = Counter(map(repr, operations(both.api))), Counter(map(repr, operations(both.onnx)))
    for network in (both.api, both.onnx):
        fix(network, {name: shape for name, _, shape in dynamic})
    assert api == parsed
    assert sum(api[line] for line in api if "matrix_multiply" in line) > 10


def test_the_layers_compute_what_pytorch_computes(both: Both) -> None:
    """The network's own layers run by an interpreter in float64, at every shape that an export is checked at."""
    module, (name,) = both.module.double(), both.variant.outputs
    try:
        for sizes in both.variant.check_shapes:
            feeds = inputs_at(both.variant, sizes)
            with torch.no_grad():
                wanted = module(
                    *(torch.from_numpy(array.astype(np.float64) if array.dtype.kind == "f" else array) for array in feeds.values())
                )
            got = interpreter.run(both.api, feeds)[name]
            # transformers' softmax is in float32 whatever its input; a wrong epsilon of 1e-5 instead of 1e-12 differs by 1e-4.
            np.testing.assert_allclose(got, wanted.numpy(), rtol=0, atol=2e-6)
    finally:
        module.float()


def test_in_fp16_every_weight_is_the_rounded_one_and_the_interface_stays(both: Both, tmp_path: Path) -> None:
    """Read back from the network, which only points to the rounded copies."""
    trt = importlib.import_module("tensorrt_rtx")
    builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    write(both.variant, both.name, tmp_path / "weights", "fp16")
    kept = define(tmp_path / "weights", trt, network)
    assert interface(network) == interface(both.api)
    full, half = dict(weights_of(both.api)), dict(weights_of(network))
    assert {name: array.dtype for name, array in half.items()} == dict.fromkeys(full, np.dtype(np.float16))
    assert all(np.array_equal(half[name], array.astype(np.float16)) for name, array in full.items())
    assert kept.dtype == np.float16


class Older:
    """A network before TensorRT 10.15."""

    def __init__(self, network: trt.INetworkDefinition) -> None:
        self.network = network

    def __getattr__(self, name: str) -> Any:
        if name == "add_normalization_v2":
            raise AttributeError(name)
        return getattr(self.network, name)


def test_before_10_15_the_older_normalisation_layer_means_the_same(both: Both, tmp_path: Path) -> None:
    trt = importlib.import_module("tensorrt_rtx")
    builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    write(both.variant, both.name, tmp_path / "weights")
    older: Any = Older(network)
    kept = define(tmp_path / "weights", trt, older)
    assert list(operations(network)) == list(operations(both.api))
    versions = [[layer.is_v2 for kind, layer in interpreter.layers(one) if kind == "normalization"] for one in (network, both.api)]
    assert set(versions[0]) == {False}
    assert set(versions[1]) == {True}
    assert not kept.unused()
