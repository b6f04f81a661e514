"""Weights that an ONNX file keeps in other files: only inside its own folder, and only when they are all there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PureWindowsPath

import onnx
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from common.errors import UserError
from variants.graph import graphs

LIMIT = 2**31
"""Bytes of one protobuf message: what the passes work on."""


def refuse_outside(path: Path, model: onnx.ModelProto) -> list[Path]:
    """The files that hold weights, none opened. Raises UserError for one that is outside the model's folder, missing or too short."""
    found: dict[Path, None] = {}
    for tensor in _tensors(model):
        if uses_external_data(tensor):
            found[_checked(path, tensor)] = None
    total = sum(file.stat().st_size for file in found)
    if total >= LIMIT:
        raise UserError(
            f"{path}: {total / 1e9:.1f} GB of weights are more than the 2 GB that the graph passes can hold; use a smaller model"
        )
    return list(found)


def _checked(path: Path, tensor: onnx.TensorProto) -> Path:
    try:
        info = ExternalDataInfo(tensor)
        offset, length = int(info.offset or 0), int(info.length or 0)
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: tensor '{tensor.name}' says badly where its data are ({error}); export the model again") from error
    place = PureWindowsPath(info.location)  # its rules see both separators and drive letters
    where = f"{path}: tensor '{tensor.name}' keeps its data in '{info.location}'"
    if not info.location or place.is_absolute() or place.drive or place.root or ".." in place.parts:
        raise UserError(f"{where}, outside the model's folder; nothing there is read: export it with the data beside the model")
    file = path.parent / info.location
    if not file.exists():
        raise UserError(f"{where}, which is missing; copy that file beside the model")
    if not file.resolve().is_relative_to(path.parent.resolve()):
        raise UserError(f"{where}, a link out of the model's folder; nothing there is read: put the file itself beside the model")
    if not file.is_file():
        raise UserError(f"{where}, which is no regular file; copy the data beside the model")
    if offset < 0 or length < 0 or offset + length > file.stat().st_size:
        raise UserError(f"{where}, which is too short for it; copy that file again")
    return file


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    bodies = [onnx.GraphProto(node=function.node) for function in model.functions]
    for graph in (part for whole in (model.graph, *bodies) for part in graphs(whole)):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
        for node in graph.node:
            for attribute in node.attribute:
                yield from (attribute.t, *attribute.tensors)
