"""Calibration data that cannot be what a model takes: told in one sentence that names the input."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import helper

from common.errors import UserError
from variants.variant import Array, Tensors


def check(model: onnx.ModelProto, inputs: Tensors) -> None:
    """Raises UserError where `inputs` (named arrays [n, ...]) are missing, empty, not finite, or of another type or shape."""
    stored = {tensor.name for tensor in model.graph.initializer}
    ports = [value for value in model.graph.input if value.name not in stored]
    for name in inputs:
        if name not in {port.name for port in ports}:
            raise UserError(f"calibration: the model has no input '{name}'; it has {', '.join(port.name for port in ports)}")
    for port in ports:
        if port.name not in inputs:
            raise UserError(f"calibration: no data for input '{port.name}'; give an array of it")
        for wrong in _wrong(port, inputs[port.name]):
            raise UserError(f"calibration: input '{port.name}' {wrong}")
    counts = {name: len(array) for name, array in inputs.items()}
    if len(set(counts.values())) > 1:
        raise UserError(
            f"calibration: inputs differ in number ({', '.join(f'{name} {n}' for name, n in counts.items())}); give as many of each"
        )


def _wrong(port: onnx.ValueInfoProto, array: Array) -> Iterator[str]:
    wanted = helper.tensor_dtype_to_np_dtype(port.type.tensor_type.elem_type)
    dims = [dim.dim_value for dim in port.type.tensor_type.shape.dim]
    if not array.size:
        yield f"is empty (shape {list(array.shape)}); give at least one"
    if array.dtype != wanted:
        yield f"is {array.dtype}, but the model takes {wanted}; convert it"
    one = list(array.shape[1:])
    fits = _fits(one, dims[1:]) or _fits(one, dims)
    if not fits:
        shown = ", ".join(str(size or "any") for size in dims)
        yield f"has shape {list(array.shape)}, but the model takes [{shown}]; give an array of that shape, its first axis counting inputs"
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        place = int(np.argwhere(~np.isfinite(array))[0][0])
        yield f"is not finite in number {place} of {len(array)}; leave that one out, or mend it"


def _fits(shape: list[int], dims: list[int]) -> bool:
    return len(shape) == len(dims) and all(not want or want == got for got, want in zip(shape, dims, strict=True))
