"""EngineInspector text (LayerInformationFormat.ONELINE, trtexec --dumpLayerInfo)"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from reports.layers.found import Described, Found, Source
from reports.layers.sources import export_layer_info
from reports.layers.sources._numbers import bounded

FIELD = re.compile(r", (LayerType|Inputs|Outputs|ParameterType|TacticName|TacticValue|StreamId|Metadata|Origin|Weights|Bias): ?")
TENSOR = re.compile(
    r"\{ Name: (?P<name>.*?)(?:, Location: [^,{}]*)?, Dimensions: \[(?P<shape>[-\d, ]*)\], Format/Datatype: (?P<words>[^{}]*?) ?\}"
)
ATTRIBUTE = re.compile(
    r", (Kernel|Groups|WindowSize|NbOperations|Conv(?:Kernel|Groups|OutMaps|Stride|PrePadding|PostPadding|Dilation)): (\[[\d,]*\]|\d+)"
)
COUNTED = re.compile(r'(Weights|Bias): (\{"Type": "\w+", "Count": \d+\})')
STAMP = re.compile(r"\[\d\d/\d\d/\d{4}-")
LONGEST = 1 << 20


def parse(data: bytes) -> Found:
    """The layers between `Layers:` and `Bindings:`."""
    return export_layer_info.found(described(data.decode("utf-8", "replace").split("\n")))


def described(lines: Iterable[str]) -> list[Described]:
    """The layers of the first `Layers:` block; a line without `Name: ` is a name alone."""
    inside = False
    found: list[Described] = []
    for line in lines:
        bounded(len(found))
        text = line.rstrip("\r")
        if not inside:
            inside = text.endswith("Layers:") and (text == "Layers:" or "] Layers:" in text)
        elif not text or text.startswith(("Bindings:", "&&&&")) or STAMP.match(text):
            if found:
                break
        elif text.startswith("Name: "):
            found.append(_layer(text[:LONGEST]))
        else:
            found.append(Described(text))
    return found


def _layer(line: str) -> Described:
    name, *rest = FIELD.split(line.removeprefix("Name: "))
    fields = dict(zip(rest[::2], rest[1::2], strict=False))
    row: dict[str, object] = {
        "Name": name,
        "LayerType": fields.get("LayerType", ""),
        "Inputs": _tensors(fields.get("Inputs", "")),
        "Outputs": _tensors(fields.get("Outputs", "")),
        "ParameterType": fields.get("ParameterType", "").split(",")[0],
        "TacticName": fields.get("TacticName", "").removesuffix(","),
        "TacticValue": fields.get("TacticValue", "").removesuffix(","),
        "Metadata": fields.get("Metadata", ""),
        "Origin": fields.get("Origin", "").removesuffix(","),
    }
    stream = fields.get("StreamId", "").removesuffix(",")
    if stream.isdecimal() and len(stream) < 9:
        row["StreamId"] = int(stream)
    return export_layer_info.describe(msgspec.convert({**row, **_attributes(line)}, export_layer_info.Row))


def _attributes(line: str) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in ATTRIBUTE.findall(line):
        found[key] = [int(size) for size in value[1:-1].split(",") if size] if value.startswith("[") else int(value)
    for key, value in COUNTED.findall(line):
        kind, count = value.split('"')[3], value.rpartition(" ")[2].rstrip("}")
        found[key] = {"Type": kind, "Count": int(count)}
    return found


def _tensors(text: str) -> list[dict[str, object]]:
    return [
        {
            "Name": match["name"],
            "Dimensions": [int(size) for size in match["shape"].replace(" ", "").split(",") if size.lstrip("-").isdecimal()],
            "Format/Datatype": match["words"],
        }
        for match in TENSOR.finditer(text)
    ]


inspector_text = Source(re.compile(rb"(?m)^(?:\[[^\n]{0,80}\] )?Layers:\s*$"), parse, text=True)
