"""Profiles and diffs as pandas frames, for a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from reports.layers.attribution import Attribution, attribute
from reports.layers.diff import diff as compare
from reports.layers.division import costs_for
from reports.layers.flat import row
from reports.layers.read import read
from reports.layers.tally import tally
from reports.layers.view.export import movement

if TYPE_CHECKING:
    from pandas import DataFrame

Files: TypeAlias = str | Path | tuple[str | Path, ...]
"""Any file of one engine (those beside it are found by name), or several of them."""


def layers(*paths: str | Path) -> DataFrame:
    """One row a layer, the longest first; columns as `trtbench layers --csv` has them, what a source is silent on is None.

    `.attrs` holds what is said of the whole: title, version, runs, sum_us, latency_us, unmatched, notes. Raises UserError.
    """
    profile = read(paths)
    frame = _frame([row(layer) for layer in profile.layers])
    whole = ("title", "version", "runs", "sum_us", "latency_us", "unmatched", "notes")
    frame.attrs.update({name: getattr(profile, name) for name in whole})
    return frame


def by_group(*paths: str | Path) -> DataFrame:
    """One row a group: name, mean_us, share, layers."""
    return _frame([_fields(share) for share in tally(read(paths).layers, lambda layer: layer.group)])


def by_node(*paths: str | Path, onnx: str | Path | None = None) -> DataFrame:
    """One row an ONNX node: time_us, of which estimated_us is divided among several nodes of one layer, and layers_us, the measured
    total of the layers that it is in."""
    found = _attributed(paths, onnx)
    rows = []
    for node in found.nodes:
        fields = {name: value for name, value in _fields(node).items() if name != "pieces"}
        rows.append({**fields, "layers_us": sum({piece.rank: piece.layer_us for piece in node.pieces}.values())})
    return _frame(rows)


def by_module(*paths: str | Path, onnx: str | Path | None = None) -> DataFrame:
    """One row a source module: time_us, share, estimated_us, nodes."""
    return _frame([_fields(total) for total in _attributed(paths, onnx).modules()])


def diff(before: Files, after: Files) -> DataFrame:
    """One row a movement, the largest change first; `before` and `after` list the layers' names.

    before_us, after_us and change_us add up exactly; `.attrs` holds the totals and the notes. Raises UserError.
    """
    found = compare(read(_several(before)), read(_several(after)))
    frame = _frame([movement(one) for one in found.movements])
    frame.attrs.update(before_us=found.before_us, after_us=found.after_us, change_us=found.change_us, notes=found.notes)
    return frame


def _attributed(paths: tuple[str | Path, ...], onnx: str | Path | None) -> Attribution:
    profile = read(paths)
    return attribute(profile, costs_for(profile, Path(onnx)) if onnx else None)


def _several(files: Files) -> tuple[str | Path, ...]:
    return files if isinstance(files, tuple) else (files,)


def _fields(one: msgspec.Struct) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__struct_fields__}


def _frame(rows: Sequence[Mapping[str, object]]) -> DataFrame:
    import pandas as pd

    return pd.DataFrame(rows)
