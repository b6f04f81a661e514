"""Runs a TensorRT network definition in PyTorch: it reads the layers back from the network and knows nothing of who added them.

What a network computes is seen without a GPU so; how TensorRT would compute it is not. Only the layers that variants/api uses;
any other is an AssertionError. Floats are computed in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorrt_rtx as trt
import torch

from variants.variant import Array, Tensors

KINDS: dict[Any, type[Any]] = {
    trt.LayerType.ACTIVATION: trt.IActivationLayer,
    trt.LayerType.CONCATENATION: trt.IConcatenationLayer,
    trt.LayerType.CONSTANT: trt.IConstantLayer,
    trt.LayerType.CONVOLUTION: trt.IConvolutionLayer,
    trt.LayerType.ELEMENTWISE: trt.IElementWiseLayer,
    trt.LayerType.GATHER: trt.IGatherLayer,
    trt.LayerType.MATRIX_MULTIPLY: trt.IMatrixMultiplyLayer,
    trt.LayerType.NORMALIZATION: trt.INormalizationLayer,
    trt.LayerType.REDUCE: trt.IReduceLayer,
    trt.LayerType.SCALE: trt.IScaleLayer,
    trt.LayerType.SHUFFLE: trt.IShuffleLayer,
    trt.LayerType.SLICE: trt.ISliceLayer,
    trt.LayerType.SOFTMAX: trt.ISoftMaxLayer,
}


def layers(network: trt.INetworkDefinition) -> list[tuple[str, Any]]:
    """All layers with their kind, each of its own class: the bindings give the base class, whose `type` an activation hides."""
    found: list[tuple[str, Any]] = []
    for number in range(network.num_layers):
        layer: Any = network.get_layer(number)
        kind = layer.type
        layer.__class__ = KINDS.get(kind, layer.__class__)
        found.append((kind.name.lower(), layer))
    return found


def inputs_of(layer: Any) -> list[Any]:
    """The input tensors, without empty places at the end."""
    return [tensor for number in range(layer.num_inputs) if (tensor := layer.get_input(number)) is not None]


def run(network: trt.INetworkDefinition, feeds: Tensors) -> dict[str, Array]:
    """The outputs by name, float64 or integer."""
    values = {name: _tensor(array) for name, array in feeds.items()}
    for kind, layer in layers(network):
        given = [values[tensor.name] for tensor in inputs_of(layer)]
        output = layer.get_output(0)
        made = _computed(kind, layer, given)
        declared = tuple(output.shape)
        assert made.dim() == len(declared), f"{layer.name}: {tuple(made.shape)} is not {declared}"
        assert all(want in (-1, got) for want, got in zip(declared, made.shape, strict=True)), f"{layer.name}: {made.shape}, not {declared}"
        assert output.name not in values, f"two tensors are called {output.name}"
        values[output.name] = made
    return {output.name: values[output.name].numpy() for output in map(network.get_output, range(network.num_outputs))}


def _tensor(array: Array) -> torch.Tensor:
    return torch.from_numpy(np.array(array, np.float64 if array.dtype.kind == "f" else np.int64))


def _axes(mask: int) -> list[int]:
    return [axis for axis in range(mask.bit_length()) if mask >> axis & 1]


def _computed(kind: str, layer: Any, given: list[torch.Tensor]) -> torch.Tensor:
    assert f"_{kind}" in globals(), f"{layer.name}: this interpreter knows no {kind}"
    made: torch.Tensor = globals()[f"_{kind}"](layer, *given)
    return made


def _activation(layer: Any, x: torch.Tensor) -> torch.Tensor:
    assert layer.type == trt.ActivationType.GELU_ERF
    return torch.nn.functional.gelu(x)


def _cast(layer: Any, x: torch.Tensor) -> torch.Tensor:
    return x.double() if layer.get_output(0).dtype in (trt.float32, trt.float16) else x.long()


def _concatenation(layer: Any, *parts: torch.Tensor) -> torch.Tensor:
    return torch.cat(parts, layer.axis)


def _constant(layer: Any) -> torch.Tensor:
    return _tensor(layer.weights.reshape(tuple(layer.shape)))


def _convolution(layer: Any, x: torch.Tensor) -> torch.Tensor:
    kernel = layer.kernel.reshape(layer.num_output_maps, -1, *layer.kernel_size_nd)
    stride, padding = tuple(layer.stride_nd), tuple(layer.padding_nd)
    return torch.nn.functional.conv2d(x, _tensor(kernel), _tensor(layer.bias), stride, padding, groups=layer.num_groups)


def _elementwise(layer: Any, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    assert a.dim() == b.dim(), f"{layer.name}: TensorRT broadcasts equal ranks only"
    return {"SUM": a + b, "PROD": a * b}[layer.op.name]


def _gather(layer: Any, table: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    picked = table.index_select(layer.axis, indices.reshape(-1))
    return picked.reshape(*table.shape[: layer.axis], *indices.shape, *table.shape[layer.axis + 1 :])


def _matrix_multiply(layer: Any, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    assert a.dim() == b.dim(), f"{layer.name}: TensorRT multiplies equal ranks only"
    return _turned(a, layer.op0) @ _turned(b, layer.op1)


def _turned(x: torch.Tensor, op: Any) -> torch.Tensor:
    return x.transpose(-2, -1) if op == trt.MatrixOperation.TRANSPOSE else x


def _normalization(layer: Any, x: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    axes = _axes(layer.axes)
    centred = x - x.mean(axes, keepdim=True)
    made: torch.Tensor = centred / (centred.square().mean(axes, keepdim=True) + layer.epsilon).sqrt() * scale + bias
    return made


def _reduce(layer: Any, x: torch.Tensor) -> torch.Tensor:
    assert layer.op == trt.ReduceOperation.AVG
    return x.mean(_axes(layer.axes), keepdim=layer.keep_dims)


def _scale(layer: Any, x: torch.Tensor) -> torch.Tensor:
    assert layer.mode == trt.ScaleMode.CHANNEL
    assert not layer.power.size
    scale, shift = (_tensor(part).reshape(1, -1, *[1] * (x.dim() - 2)) for part in (layer.scale, layer.shift))
    return x * scale + shift


def _shape(layer: Any, x: torch.Tensor) -> torch.Tensor:
    return torch.tensor(x.shape)


def _shuffle(layer: Any, x: torch.Tensor, wanted: torch.Tensor | None = None) -> torch.Tensor:
    x = x.permute(tuple(layer.first_transpose)[: x.dim()])
    shape = layer.reshape_dims if wanted is None else wanted.tolist()
    if shape is not None:
        x = x.reshape([x.shape[place] if size == 0 and layer.zero_is_placeholder else size for place, size in enumerate(shape)])
    return x.permute(tuple(layer.second_transpose)[: x.dim()])


def _slice(layer: Any, x: torch.Tensor, *dynamic: torch.Tensor) -> torch.Tensor:
    start, stride = list(layer.start), list(layer.stride)
    shape = dynamic[-1].tolist() if dynamic else list(layer.shape)
    for axis, (first, size, step) in enumerate(zip(start, shape, stride, strict=True)):
        x = x.index_select(axis, first + step * torch.arange(size))
    return x


def _softmax(layer: Any, x: torch.Tensor) -> torch.Tensor:
    (axis,) = _axes(layer.axes)
    return x.softmax(axis)
