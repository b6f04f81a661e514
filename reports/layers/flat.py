"""A layer as one flat row, for CSV and for pandas."""

from __future__ import annotations

from typing import TypeAlias

from reports.layers.layer import Layer
from reports.layers.view.text import formats, precisions, shape

Value: TypeAlias = str | int | float | None

SEPARATOR = " | "
"""Between several nodes, shapes or formats in one field."""


def row(layer: Layer) -> dict[str, Value]:
    """Every field by name; units are in the names, what a source is silent on is None (empty in CSV)."""
    return {
        "rank": layer.rank,
        "name": layer.name,
        "type": layer.type,
        "subtype": layer.subtype,
        "group": layer.group,
        "module": layer.module,
        "mean_us": layer.mean_us,
        "median_us": layer.median_us,
        "total_us": layer.total_us,
        "share": layer.share,
        "cumulative": layer.cumulative,
        "calls": layer.calls,
        "position": layer.position,
        "precision_in": precisions(layer.inputs),
        "precision_out": precisions(layer.outputs),
        "format_in": formats(layer.inputs),
        "format_out": formats(layer.outputs),
        "shapes_in": SEPARATOR.join(map(shape, layer.inputs)),
        "shapes_out": SEPARATOR.join(map(shape, layer.outputs)),
        "bytes_read": layer.bytes_read,
        "bytes_written": layer.bytes_written,
        "operations": layer.operations,
        "intensity": layer.intensity,
        "tactic": layer.tactic,
        "stream": layer.stream,
        "nodes": SEPARATOR.join(layer.nodes),
    }
