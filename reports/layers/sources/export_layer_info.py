"""trtexec --exportLayerInfo or EngineInspector JSON"""

from __future__ import annotations

import re
from collections.abc import Sequence
from sys import intern
from typing import TypeAlias

import msgspec

from common.errors import UserError
from reports.layers.formats import KNOWN, known
from reports.layers.found import Described, Found, Source
from reports.layers.layer import Tensor
from reports.layers.operations import Attributes, operations
from reports.layers.sources._json import decode
from reports.layers.sources._numbers import bounded

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


Costs: TypeAlias = tuple[int | None, int | None, int | None]
_known: dict[object, Costs] = {}
MOST_KNOWN = 20_000


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
    row = _row.decode
    if data.find(b"{", 1) < 0:
        # Names alone: three bytes may be one, and a slice takes 70.
        bounded(data.count(b'"') // 2 - data.count(b'\\"'))
    raws = _file.decode(data).layers
    bounded(len(raws))
    # Few types and tactics serve many layers, so equal strings are kept once.
    return [describe(row(raw)) for raw in raws]


def describe(row: Row | str) -> Described:
    """The layer with its bytes and operations; a string has its name only.

    Its type is ParameterType, the kind of work, where there is one, and LayerType else; a transposed convolution is told from
    a plain one by the latter alone.
    """
    if isinstance(row, str):
        return Described(row)
    inputs, taken = _tensors(row.inputs)
    outputs, given = _tensors(row.outputs)
    kind = row.parameter_type or row.layer_type
    if kind == "Convolution" and "Deconv" in row.layer_type:
        kind = "Deconvolution"
    key = (kind, taken, given, row.kernel, row.groups, row.nb_operations, row.weights, row.bias)
    costs = _known.get(key)
    if costs is None or row.window_size or row.conv_kernel:
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        costs = _known[key] = _count(kind, inputs, outputs, row)
    read, written, work = costs
    tactic = row.tactic_name or (str(row.tactic_value) if row.tactic_value else "")
    return Described(
        row.name,
        intern(kind),
        intern(row.layer_type) if kind != row.layer_type else "",
        row.metadata,
        row.origin,
        inputs,
        outputs,
        read,
        written,
        work,
        intern(tactic),
        row.stream_id,
    )


def _count(kind: str, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], row: Row) -> Costs:
    work = operations(kind, inputs, outputs, row)
    if kind == "NoOp":
        return 0, 0, work
    read = _bytes(inputs)
    return None if read is None else read + row.weight_bytes, _bytes(outputs), work


def _tensors(rows: Sequence[_Tensor]) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    """The tensors, and a number for the format and shape of each; one that is listed again counts its bytes once."""
    found: list[Tensor] = []
    numbers: list[int] = []
    last = None
    for row in rows:
        words, shape = row.words or f"{row.layout} {row.type}".strip(), row.shape
        precision, words, shape, size, number = KNOWN.get((words, shape)) or known(words, shape)
        name = row.name
        numbers.append(-1 if name == last else number)
        found.append(Tensor(name, precision, words, shape, size))
        last = name
    return tuple(found), tuple(numbers)


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
