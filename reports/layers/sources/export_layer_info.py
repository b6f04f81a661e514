"""trtexec --exportLayerInfo or EngineInspector JSON"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from common.errors import UserError
from reports.layers.formats import tensor
from reports.layers.found import Described, Found, Source
from reports.layers.layer import Tensor
from reports.layers.operations import Attributes, operations
from reports.layers.sources._json import decode

WHAT = "layer information (trtexec --exportLayerInfo, EngineInspector)"


class _Tensor(msgspec.Struct, gc=False):
    name: str = msgspec.field(name="Name", default="")
    shape: tuple[int, ...] = msgspec.field(name="Dimensions", default=())
    words: str = msgspec.field(name="Format/Datatype", default="")
    layout: str = msgspec.field(name="Format", default="")
    type: str = msgspec.field(name="DataType", default="")


class Row(Attributes, gc=False, rename="pascal"):
    """One layer as the inspector writes it."""

    name: str = ""
    layer_type: str = ""
    inputs: tuple[_Tensor, ...] = ()
    outputs: tuple[_Tensor, ...] = ()
    parameter_type: str = ""
    tactic_name: str = ""
    tactic_value: str | int = ""
    stream_id: int | None = None
    metadata: str = ""
    origin: str = ""


class _File(msgspec.Struct):
    layers: list[msgspec.Raw] = msgspec.field(name="Layers")


_file = msgspec.json.Decoder(_File)
_row: msgspec.json.Decoder[Row | str] = msgspec.json.Decoder(Row | str)


def parse(data: bytes) -> Found:
    """Every layer in engine order; a layer that is a plain string (verbosity below detailed) has a name only."""
    return found(decode(data, _layers, WHAT))


def found(described: list[Described]) -> Found:
    """The Found of these descriptions, with what their reader must know."""
    if not described:
        raise UserError(f"holds no layer, so it is no use as {WHAT}: export it again")
    notes = []
    if not any(layer.type for layer in described):
        notes.append("the layer information holds names only: build with --profilingVerbosity=detailed for types, shapes and precisions")
    streams = {layer.stream for layer in described if layer.stream is not None}
    if len(streams) > 1:
        notes.append(f"the engine runs on {len(streams)} streams: layers overlap, so their sum exceeds the latency")
    return Found("layer information", described=described, notes=tuple(notes))


def _layers(data: bytes) -> list[Described]:
    """Each layer is decoded from its own slice, so that no second copy of the whole file is ever held."""
    return [describe(_row.decode(raw)) for raw in _file.decode(data).layers]


def describe(row: Row | str) -> Described:
    """The layer with its bytes and operations; a string has its name only.

    Its type is ParameterType, the kind of work, where there is one, and LayerType else; a transposed convolution is told from
    a plain one by the latter alone.
    """
    if isinstance(row, str):
        return Described(row)
    inputs, outputs = _tensors(row.inputs), _tensors(row.outputs)
    kind = row.parameter_type or row.layer_type
    if kind == "Convolution" and "Deconv" in row.layer_type:
        kind = "Deconvolution"
    read: int | None = 0
    written: int | None = 0
    if kind != "NoOp":
        read, written = _bytes(inputs), _bytes(outputs)
        if read is not None and (row.weights is not None or row.conv_weights is not None):
            read += row.weight_bytes
    return Described(
        row.name,
        kind,
        row.layer_type if kind != row.layer_type else "",
        row.metadata,
        row.origin,
        inputs,
        outputs,
        read,
        written,
        operations(kind, inputs, outputs, row),
        row.tactic_name or (str(row.tactic_value) if row.tactic_value else ""),
        row.stream_id,
    )


def _tensors(rows: Iterable[_Tensor]) -> tuple[Tensor, ...]:
    return tuple([tensor(row.name, row.shape, row.words or f"{row.layout} {row.type}".strip()) for row in rows])


def _bytes(tensors: tuple[Tensor, ...]) -> int | None:
    """Sum over distinct names; None where one is unknown or none is listed."""
    if len(tensors) == 1:
        return tensors[0].bytes
    total = 0
    for size in {one.name: one.bytes for one in tensors}.values():
        if size is None:
            return None
        total += size
    return total if tensors else None


export_layer_info = Source(re.compile(rb'"Layers"\s*:\s*\[|"LayerType"\s*:'), parse)
