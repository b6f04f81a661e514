"""Floating-point operations of a layer, where its shapes and attributes give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isqrt, prod
from typing import Any

from reports.layers.formats import layout
from reports.layers.layer import Tensor

NONE = frozenset(["NoOp", "Reformat", "Shuffle", "Slice", "Concatenation", "Constant", "shape_call", "Cast", "Gather", "Padding"])


def operations(kind: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], attributes: Mapping[str, Any]) -> int | None:
    """A multiply-add counts as two, a point-wise formula as its number of operations an element; moving data is 0.

    None where a shape is dynamic or the layer's own arithmetic is not listed.
    """
    if kind in NONE:
        return 0
    if not outputs or any(-1 in tensor.shape for tensor in (*inputs, *outputs)):
        return None
    if kind in ("Convolution", "ConvActPool", "Deconvolution"):
        return _convolution(inputs, outputs, attributes)
    if kind == "Pooling":
        window = attributes.get("WindowSize")
        return prod(outputs[0].shape) * prod(window) if _sizes(window) else None
    if kind == "PointWise":
        count = attributes.get("NbOperations")
        return prod(outputs[0].shape) * count if isinstance(count, int) else None
    if kind in ("gemm", "MatrixMultiply", "MatMul", "Gemm", "FusedMatMul", "FusedGemm"):
        return product(tuple(tensor.shape for tensor in inputs), outputs[0].shape)
    return None


def product(inputs: Sequence[tuple[int, ...]], output: tuple[int, ...]) -> int | None:
    """2 M K N of a matrix product, batches included; K follows from the three sizes, whichever factor is transposed.

    >>> product([(8, 65, 128), (128, 384)], (8, 65, 384)) == 2 * 8 * 65 * 128 * 384
    True
    """
    matrices = [shape for shape in inputs if len(shape) >= 2]
    if len(output) < 2 or not matrices or not prod(output):
        return None
    if len(matrices) == 1:
        first = matrices[0]
        return 2 * prod(output) * first[-1] if prod(first[:-1]) == prod(output[:-1]) else None
    square = prod(matrices[0][-2:]) * prod(matrices[1][-2:])
    inner, rest = divmod(square, prod(output[-2:]))
    depth = isqrt(inner)
    if rest or depth * depth != inner or depth not in matrices[0][-2:] or depth not in matrices[1][-2:]:
        return None
    return 2 * prod(output) * depth


def weight_bytes(attributes: Mapping[str, Any]) -> int:
    """Bytes of the weights and the bias that a layer holds itself."""
    found = 0
    for key in ("Weights", "Bias", "ConvWeights", "ConvBias"):
        entry = attributes.get(key)
        if isinstance(entry, dict) and isinstance(entry.get("Count"), int) and isinstance(entry.get("Type"), str):
            found += entry["Count"] * layout(entry["Type"]).bits // 8
    return found


def _convolution(inputs: Sequence[Tensor], outputs: Sequence[Tensor], attributes: Mapping[str, Any]) -> int | None:
    fused = "Conv" if "ConvKernel" in attributes else ""
    kernel, groups = attributes.get(fused + "Kernel"), attributes.get(fused + "Groups", 1)
    if not inputs or not _sizes(kernel) or not isinstance(groups, int) or groups < 1 or len(inputs[0].shape) < 2:
        return None
    channels = inputs[0].shape[1]
    if fused:
        maps = attributes.get("ConvOutMaps")
        spatial = _spatial(inputs[0].shape, kernel, attributes)
        if not isinstance(maps, int) or spatial is None:
            return None
        return 2 * inputs[0].shape[0] * maps * prod(spatial) * channels // groups * prod(kernel)
    maps = outputs[0].shape[1] if len(outputs[0].shape) > 1 else 1
    if attributes.get("ParameterType") == "Deconvolution":
        return 2 * prod(inputs[0].shape) * maps // groups * prod(kernel)
    return 2 * prod(outputs[0].shape) * channels // groups * prod(kernel)


def _spatial(shape: tuple[int, ...], kernel: Sequence[int], attributes: Mapping[str, Any]) -> list[int] | None:
    """Output sizes of the convolution inside a fused one, whose own output is already pooled."""
    stride, before, after, dilation = (attributes.get(f"Conv{key}") for key in ("Stride", "PrePadding", "PostPadding", "Dilation"))
    if not all(_sizes(value) and len(value) == len(kernel) == len(shape) - 2 for value in (stride, before, after, dilation)):
        return None
    sides = zip(shape[2:], kernel, stride, before, after, dilation, strict=True)
    return [(side + pre + post - step * (size - 1) - 1) // max(jump, 1) + 1 for side, size, jump, pre, post, step in sides]


def _sizes(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(number, int) for number in value)
