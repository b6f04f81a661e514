"""Floating-point operations and weights of a layer, where its shapes and attributes give them."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt, prod

import msgspec

from reports.layers.formats import layout
from reports.layers.layer import Tensor

MOVES = frozenset(
    ("NoOp", "Reformat", "Shuffle", "Slice", "Concatenation", "Constant", "shape_call", "Cast", "Gather", "Padding", "signal", "wait")
)
PRODUCTS = frozenset(("gemm", "MatrixMultiply", "FullyConnected", "MatMul", "Gemm", "FusedMatMul", "FusedGemm"))


class Counted(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """Weights that a layer holds: their type and how many."""

    type: str = ""
    count: int = 0

    @property
    def bytes(self) -> int:
        """Their size."""
        return self.count * layout(self.type).bits // 8


class Attributes(msgspec.Struct, gc=False, rename="pascal"):
    """What the inspector says of a layer beyond its tensors. A convolution fused with a pooling has its own under `conv_`."""

    kernel: tuple[int, ...] = ()
    groups: int = 1
    window_size: tuple[int, ...] = ()
    nb_operations: int | None = None
    weights: Counted | None = None
    bias: Counted | None = None
    conv_kernel: tuple[int, ...] = ()
    conv_groups: int = 1
    conv_out_maps: int = 0
    conv_stride: tuple[int, ...] = ()
    conv_pre_padding: tuple[int, ...] = ()
    conv_post_padding: tuple[int, ...] = ()
    conv_dilation: tuple[int, ...] = ()
    conv_weights: Counted | None = None
    conv_bias: Counted | None = None

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights and the bias that the layer holds itself."""
        return sum(held.bytes for held in (self.weights, self.bias, self.conv_weights, self.conv_bias) if held is not None)


def operations(kind: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], attributes: Attributes) -> int | None:
    """A multiply-add counts as two, a point-wise formula as its number of operations an element; moving data is 0.

    None where a shape is dynamic or the layer's own arithmetic is not listed.
    """
    if kind in MOVES:
        return 0
    if not outputs or not outputs[0].shape or any(-1 in tensor.shape for tensor in (*inputs, *outputs)):
        return None
    shape = outputs[0].shape
    if kind in ("Convolution", "ConvActPool", "Deconvolution"):
        return _convolution(kind, inputs, shape, attributes)
    if kind == "Pooling":
        return prod(shape) * prod(attributes.window_size) if attributes.window_size else None
    if kind == "PointWise":
        return prod(shape) * attributes.nb_operations if attributes.nb_operations is not None else None
    if kind in PRODUCTS:
        return product(tuple(tensor.shape for tensor in inputs), shape)
    return None


def product(inputs: Sequence[tuple[int, ...]], output: tuple[int, ...]) -> int | None:
    """2 M K N of a matrix product, batches included; K follows from the three sizes, whichever factor is transposed.

    >>> product([(8, 65, 128), (128, 384)], (8, 65, 384)) == 2 * 8 * 65 * 128 * 384
    True
    """
    matrices = [shape for shape in inputs if len(shape) >= 2]
    if len(output) < 2 or not matrices or prod(output) <= 0:
        return None
    if len(matrices) == 1:
        first = matrices[0]
        return 2 * prod(output) * first[-1] if prod(first[:-1]) == prod(output[:-1]) else None
    square = prod(matrices[0][-2:]) * prod(matrices[1][-2:])
    inner, rest = divmod(square, prod(output[-2:]))
    depth = isqrt(inner) if inner > 0 else 0
    if rest or depth * depth != inner or depth not in matrices[0][-2:] or depth not in matrices[1][-2:]:
        return None
    return 2 * prod(output) * depth


def _convolution(kind: str, inputs: Sequence[Tensor], output: tuple[int, ...], attributes: Attributes) -> int | None:
    kernel, groups = attributes.kernel or attributes.conv_kernel, max(attributes.groups, attributes.conv_groups)
    if not inputs or not kernel or groups < 1 or len(inputs[0].shape) < 2 or len(output) < 2:
        return None
    taken = inputs[0].shape
    if kind == "Deconvolution":
        return 2 * prod(taken) * output[1] // groups * prod(kernel)
    if not attributes.kernel:
        spatial = _spatial(taken, attributes)
        return 2 * taken[0] * attributes.conv_out_maps * prod(spatial) * taken[1] // groups * prod(kernel) if spatial else None
    return 2 * prod(output) * taken[1] // groups * prod(kernel)


def _spatial(shape: tuple[int, ...], of: Attributes) -> list[int]:
    """Output sizes of the convolution inside a fused one, whose own output is already pooled; empty where they do not fit."""
    parts = (of.conv_kernel, of.conv_stride, of.conv_pre_padding, of.conv_post_padding, of.conv_dilation)
    if any(len(part) != len(shape) - 2 for part in parts):
        return []
    sides = zip(shape[2:], *parts, strict=True)
    return [(side + pre + post - step * (size - 1) - 1) // max(jump, 1) + 1 for side, size, jump, pre, post, step in sides]
