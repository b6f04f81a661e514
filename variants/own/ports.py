"""Inputs and outputs of an ONNX graph: name, type and declared shape."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from common.errors import UserError

Dim: TypeAlias = int | str
TAKEN = frozenset(
    {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BOOL, TensorProto.INT8, TensorProto.INT16}
    | {TensorProto.INT32, TensorProto.INT64, TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64}
)
"""The element types that NumPy has, so that one can feed and compare them."""


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output; a dimension is its size, or the name it is set by (`x.1` where the file names none). None: unknown rank."""

    name: str
    dtype: npt.DTypeLike
    shape: tuple[Dim, ...] | None


def inputs(path: Path, model: onnx.ModelProto) -> tuple[Port, ...]:
    """All that must be fed. Raises UserError when nothing must, or when it is no tensor of a type that can be fed."""
    weights = {tensor.name for tensor in model.graph.initializer}
    found = tuple(_port(path, value, "input") for value in model.graph.input if value.name not in weights)
    if not found:
        raise UserError(f"{path}: the graph has no inputs, so nothing of it can be checked; export it with its inputs")
    for port in found:
        if port.shape is not None and 0 in port.shape:
            raise UserError(
                f"{path}: input '{port.name}' has an axis of size 0, so there is nothing to measure; export it with another shape"
            )
    return found


def outputs(path: Path, model: onnx.ModelProto) -> tuple[Port, ...]:
    """All that are compared. Raises UserError when there is none, or when one is no tensor of a type that can be compared."""
    found = tuple(_port(path, value, "output") for value in model.graph.output)
    if not found:
        raise UserError(f"{path}: the graph has no outputs, so there is nothing to compare; export it with its outputs")
    return found


def _port(path: Path, value: onnx.ValueInfoProto, kind: str) -> Port:
    form = value.type.WhichOneof("value")
    if form != "tensor_type":
        name = (form or "untyped").removesuffix("_type")
        raise UserError(
            f"{path}: {kind} '{value.name}' is of the type {name}; only tensors can be fed and compared: export it with tensors"
        )
    tensor = value.type.tensor_type
    if tensor.elem_type not in TAKEN:
        name = TensorProto.DataType.Name(tensor.elem_type) if tensor.elem_type in TensorProto.DataType.values() else str(tensor.elem_type)
        raise UserError(
            f"{path}: {kind} '{value.name}' holds {name}, which cannot be fed from NumPy; export it with float, integer or bool"
        )
    shape = tuple(_dim(value.name, axis, dim) for axis, dim in enumerate(tensor.shape.dim)) if tensor.HasField("shape") else None
    return Port(value.name, helper.tensor_dtype_to_np_dtype(tensor.elem_type), shape)


def _dim(name: str, axis: int, dim: onnx.TensorShapeProto.Dimension) -> Dim:
    if dim.WhichOneof("value") == "dim_value" and dim.dim_value >= 0:
        return int(dim.dim_value)
    return str(dim.dim_param) or f"{name}.{axis}"


def described(dtype: npt.DTypeLike) -> str:
    """Such as "float32"."""
    return np.dtype(dtype).name
