"""The layers that the networks of this folder are made of, for TensorRT 10, 11 and TensorRT-RTX alike.

Not a wrapper of the API: what a file of this folder needs only once, it asks `network` for. The bindings come in as an
argument, so one code serves `tensorrt` and `tensorrt_rtx`. Networks are strongly typed: constants have the dtype that the
network computes in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count, takewhile
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from common.errors import UserError
from variants.variant import Array

if TYPE_CHECKING:
    import tensorrt  # type: ignore[import-not-found, unused-ignore]  # present with TensorRT or its stubs


class Bindings(Protocol):
    """What this folder uses of the bindings module, whichever it is."""

    ActivationType: type[tensorrt.ActivationType]
    DataType: type[tensorrt.DataType]
    ElementWiseOperation: type[tensorrt.ElementWiseOperation]
    MatrixOperation: type[tensorrt.MatrixOperation]
    Permutation: type[tensorrt.Permutation]
    ReduceOperation: type[tensorrt.ReduceOperation]
    ScaleMode: type[tensorrt.ScaleMode]


if TYPE_CHECKING:
    _fits: Bindings = tensorrt


class Layers:
    """Adds named layers to one network, with the weights of one PyTorch module by their names in its state dict.

    TensorRT keeps pointers to the weights, not copies. The bindings of TensorRT-RTX 1.7.1 hold the arrays as long as the
    network lives, which nothing promises: this object holds them too, and must live until the engine is built.
    """

    def __init__(self, trt: Bindings, network: tensorrt.INetworkDefinition, weights: Mapping[str, Array], dtype: np.dtype[Any]) -> None:
        self.trt, self.network, self.dtype = trt, network, dtype
        self._weights, self._taken = weights, set[str]()
        self._kept: list[Array] = []

    def take(self, name: str) -> Array:
        """A weight as it lies in the state dict. Raises UserError when there is none of this name, or it was taken before."""
        if name not in self._weights or name in self._taken:
            why = "used twice" if name in self._taken else "not among the weights"
            raise UserError(f"network API: {name} is {why}; the network was written for another module")
        self._taken.add(name)
        return self._weights[name]

    def weight(self, name: str, rank: int | None = None) -> tensorrt.ITensor:
        """A weight as a constant of its name."""
        return self.constant(self.take(name), name, rank)

    def numbered(self, pattern: str) -> Iterator[int]:
        """0, 1, ... as long as the weight that `pattern` makes of the number exists: the blocks of a model."""
        return takewhile(lambda number: self.has(pattern.format(number)), count())

    def has(self, name: str) -> bool:
        """Whether there is such a weight."""
        return name in self._weights

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a weight, which stays to be taken."""
        return self._weights[name].shape

    def unused(self) -> tuple[str, ...]:
        """The weights that no layer took."""
        return tuple(name for name in self._weights if name not in self._taken)

    def of(self, layer: tensorrt.ILayer | None, name: str) -> tensorrt.ITensor:
        """Name a layer and its output. Raises UserError when TensorRT refused it; its logger says why."""
        if layer is None:
            raise UserError(f"network API: TensorRT refused layer {name}; its log above says why")
        layer.name = name
        layer.get_output(0).name = name
        return layer.get_output(0)

    def constant(self, array: Array, name: str, rank: int | None = None) -> tensorrt.ITensor:
        """`array` under ones up to `rank`; floats in the network's dtype."""
        ones = (1,) * ((array.ndim if rank is None else rank) - array.ndim)
        kept = self._keep(array)
        return self.of(self.network.add_constant((*ones, *array.shape), kept), name)

    def _keep(self, array: Array) -> Array:
        kept = np.ascontiguousarray(array, self.dtype if array.dtype.kind == "f" else array.dtype)
        self._kept.append(kept)
        return kept

    def input(self, name: str, shape: Sequence[int], dtype: np.dtype[np.generic]) -> tensorrt.ITensor:
        """An input of the given dtype, -1 where a dimension is dynamic; a float one is cast to the network's dtype."""
        kinds = {"float32": self.trt.DataType.FLOAT, "int64": self.trt.DataType.INT64, "int32": self.trt.DataType.INT32}
        tensor = self.network.add_input(name, kinds[dtype.name], tuple(shape))
        return self.cast(tensor, f"{name}/cast") if dtype.kind == "f" and self.dtype != np.float32 else tensor

    def output(self, x: tensorrt.ITensor, name: str) -> None:
        """Mark `x` as the float32 output `name`."""
        if x.dtype != self.trt.DataType.FLOAT:
            x = self.of(self.network.add_cast(x, self.trt.DataType.FLOAT), f"{name}/cast")
        x.name = name
        self.network.mark_output(x)

    def cast(self, x: tensorrt.ITensor, name: str) -> tensorrt.ITensor:
        """To the network's dtype."""
        kind = self.trt.DataType.HALF if self.dtype == np.float16 else self.trt.DataType.FLOAT
        return self.of(self.network.add_cast(x, kind), name)

    def linear(self, x: tensorrt.ITensor, name: str) -> tensorrt.ITensor:
        """torch.nn.Linear: x W^T + b; the weight lies in the network as it does in the state dict."""
        rank = len(x.shape)
        product = self.matmul(x, self.weight(f"{name}.weight", rank), f"{name}/matmul", transpose=True)
        return self.add(product, self.weight(f"{name}.bias", rank), f"{name}/bias")

    def matmul(self, a: tensorrt.ITensor, b: tensorrt.ITensor, name: str, transpose: bool = False) -> tensorrt.ITensor:
        """a b over the last two dimensions, or a b^T; the others broadcast."""
        operation = self.trt.MatrixOperation
        second = operation.TRANSPOSE if transpose else operation.NONE
        return self.of(self.network.add_matrix_multiply(a, operation.NONE, b, second), name)

    def add(self, a: tensorrt.ITensor, b: tensorrt.ITensor, name: str) -> tensorrt.ITensor:
        """a + b, broadcast."""
        return self.of(self.network.add_elementwise(a, b, self.trt.ElementWiseOperation.SUM), name)

    def scale(self, x: tensorrt.ITensor, factor: float, name: str) -> tensorrt.ITensor:
        """x times one number."""
        number = self.constant(np.array(factor, np.float32), f"{name}/factor", len(x.shape))
        return self.of(self.network.add_elementwise(x, number, self.trt.ElementWiseOperation.PROD), name)

    def layer_norm(self, x: tensorrt.ITensor, name: str, epsilon: float) -> tensorrt.ITensor:
        """torch.nn.LayerNorm over the last dimension, as one normalisation layer.

        add_normalization_v2 came with TensorRT 10.15 and means the same over the last dimension.
        """
        last = len(x.shape) - 1
        scale, bias = (self.weight(f"{name}.{part}", len(x.shape)) for part in ("weight", "bias"))
        newest = hasattr(self.network, "add_normalization_v2")
        add = self.network.add_normalization_v2 if newest else self.network.add_normalization
        layer = add(x, scale, bias, 1 << last)
        layer.epsilon = epsilon
        return self.of(layer, f"{name}/norm")

    def batch_norm(self, x: tensorrt.ITensor, name: str, epsilon: float) -> tensorrt.ITensor:
        """torch.nn.BatchNorm2d in evaluation mode, its four weights folded into the scale and shift of one layer."""
        weight, bias, mean, variance = (
            self.take(f"{name}.{part}").astype(np.float64) for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = weight / np.sqrt(variance + epsilon)
        shift = self._keep(bias - mean * scale)
        return self.of(self.network.add_scale(x, self.trt.ScaleMode.CHANNEL, shift, self._keep(scale)), f"{name}/scale")

    def convolution(self, x: tensorrt.ITensor, name: str, stride: int = 1, padding: int = 0) -> tensorrt.ITensor:
        """torch.nn.Conv2d with a bias; the groups follow from the weight's shape."""
        weight, bias = self.take(f"{name}.weight"), self.take(f"{name}.bias")
        layer = self.network.add_convolution_nd(x, weight.shape[0], weight.shape[2:], self._keep(weight), self._keep(bias))
        layer.stride_nd, layer.padding_nd = cast("tensorrt.Dims", (stride, stride)), cast("tensorrt.Dims", (padding, padding))
        layer.num_groups = x.shape[1] // weight.shape[1]
        return self.of(layer, f"{name}/conv")

    def gelu(self, x: tensorrt.ITensor, name: str) -> tensorrt.ITensor:
        """GELU, the exact one (erf)."""
        return self.of(self.network.add_activation(x, self.trt.ActivationType.GELU_ERF), name)

    def softmax(self, x: tensorrt.ITensor, name: str) -> tensorrt.ITensor:
        """Over the last dimension."""
        layer = self.network.add_softmax(x)
        layer.axes = 1 << (len(x.shape) - 1)
        return self.of(layer, name)

    def gather(self, table: tensorrt.ITensor, indices: tensorrt.ITensor, axis: int, name: str) -> tensorrt.ITensor:
        """torch.index_select with indices of any rank; a scalar takes the dimension away."""
        return self.of(self.network.add_gather(table, indices, axis), name)

    def rearrange(
        self,
        x: tensorrt.ITensor,
        name: str,
        shape: Sequence[int] | tensorrt.ITensor | None = None,
        before: Sequence[int] = (),
        after: Sequence[int] = (),
    ) -> tensorrt.ITensor:
        """Permute by `before`, reshape to `shape` (0 keeps a dimension, -1 is what is left, or a shape tensor), permute by `after`."""
        layer = self.network.add_shuffle(x)
        if before:
            layer.first_transpose = self.trt.Permutation(before)
        if shape is not None:
            if isinstance(shape, Sequence):
                layer.reshape_dims = cast("tensorrt.Dims", tuple(shape))
            else:
                layer.set_input(1, shape)
        if after:
            layer.second_transpose = self.trt.Permutation(after)
        return self.of(layer, name)

    def size(self, x: tensorrt.ITensor, axis: int, name: str) -> tensorrt.ITensor:
        """One dimension of `x` as it is at run time, int64 [1]."""
        shape = self.of(self.network.add_shape(x), f"{name}/shape")
        return self.gather(shape, self.constant(np.array([axis], np.int64), f"{name}/axis"), 0, name)

    def slice(self, x: tensorrt.ITensor, sizes: Sequence[int | tensorrt.ITensor], stride: Sequence[int], name: str) -> tensorrt.ITensor:
        """From the first element on, `sizes` of each dimension, numbers or what `size` gave; stride 0 repeats."""
        parts = [
            self.constant(np.array([size], np.int64), f"{name}/{axis}") if isinstance(size, int) else size
            for axis, size in enumerate(sizes)
        ]
        wanted = self.of(self.network.add_concatenation(parts), f"{name}/sizes")
        ones = (1,) * len(sizes)
        layer = self.network.add_slice(x, *(cast("tensorrt.Dims", dims) for dims in ((0,) * len(sizes), ones, tuple(stride))))
        layer.set_input(2, wanted)
        return self.of(layer, name)

    def attention(
        self, qkv: Sequence[tensorrt.ITensor], factor: float, name: str, bias: tensorrt.ITensor | None = None
    ) -> tensorrt.ITensor:
        """softmax(q k^T factor + bias) v over [batch, heads, positions, size] -> [batch, positions, heads * size].

        Written as products and softmax, which every TensorRT from 10.0 on has and fuses where it can; IAttention came with
        10.16, and in fp32 not every target has a kernel for it.
        """
        q, k, v = qkv
        scores = self.scale(self.matmul(q, k, f"{name}/scores", transpose=True), factor, f"{name}/scale")
        if bias is not None:
            scores = self.add(scores, bias, f"{name}/mask")
        mixed = self.matmul(self.softmax(scores, f"{name}/softmax"), v, f"{name}/context")
        return self.rearrange(mixed, f"{name}/merge", (0, 0, v.shape[1] * v.shape[3]), before=(0, 2, 1, 3))

    def heads(self, x: tensorrt.ITensor, number: int, name: str) -> tensorrt.ITensor:
        """[batch, positions, width] -> [batch, number, positions, width / number]."""
        return self.rearrange(x, name, (0, 0, number, x.shape[-1] // number), after=(0, 2, 1, 3))
