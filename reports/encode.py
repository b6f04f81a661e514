"""Blocks as the JSON that the page's scripts draw, safe inside a script element."""

from __future__ import annotations

import base64
import gzip
from dataclasses import replace
from typing import Any

import msgspec

from reports.blocks import Bar, Beside, Block, Cell, Chart, Chooser, Table, Trace, Tree

PACKED_FROM = 20_000
"""Longer data is gzipped: thousands of rows beside plotly's 4.8 MB have to stay under 6 MB."""


def island(block: Block) -> tuple[str, str]:
    """(media type, text) of a block for a script element: JSON, or gzipped JSON in base64 where that is long.

    `<` is written as \\u003c, so that no text in it can end the element or begin another.
    """
    text = msgspec.json.encode(_plain(block))
    if len(text) >= PACKED_FROM:
        return "application/gzip", base64.b64encode(gzip.compress(text, mtime=0)).decode()
    return "application/json", text.decode().replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _plain(block: Block) -> dict[str, Any]:
    match block:
        case Table():
            rows = [[_cell(cell) for cell in row] for row in block.rows]
            columns = msgspec.to_builtins(block.columns)
            return {
                "kind": block.kind,
                "title": block.title,
                "columns": columns,
                "rows": rows,
                "search": block.search,
                "frozen": block.frozen,
            }
        case Chooser():
            options = [{"names": o.names, "blocks": [_plain(inner) for inner in o.blocks]} for o in block.options]
            return {"kind": "chooser", "labels": block.labels, "options": options}
        case Chart():
            traces = tuple(_trace(trace) for trace in block.traces)
            return {"kind": block.kind, **msgspec.to_builtins(replace(block, traces=traces))}
        case Tree():
            return {"kind": block.kind, **msgspec.to_builtins(replace(block, values=_short(block.values)))}
        case Beside():
            return {"kind": block.kind, "blocks": [_plain(inner) for inner in block.blocks]}
    return {"kind": block.kind, **msgspec.to_builtins(block)}


def _trace(t: Trace) -> Trace:
    return replace(t, x=_short(t.x), y=_short(t.y), x_low=_short(t.x_low), x_high=_short(t.x_high), base=_short(t.base))


def _cell(cell: Cell) -> str | list[Any]:
    """The bare text where that is all, else a list without its empty end: rows are most of the page's data."""
    sort = cell.sort if cell.sort is None else _shorten(cell.sort)
    fields: list[Any] = [cell.text, sort, cell.tone, cell.hint, _bar(cell.bar)]
    while fields and fields[-1] in (None, ""):
        fields.pop()
    return cell.text if len(fields) < 2 else fields


def _bar(bar: Bar | None) -> list[float | int | None] | None:
    if bar is None:
        return None
    ends = (end if end is None else _shorten(end) for end in (bar.value, bar.low, bar.high))
    return [*ends, bar.colour]


def _short(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(_shorten(value) for value in values)


def _shorten(value: float) -> float:
    """Eight significant digits: no screen shows more, and the digits of noise do not compress."""
    return float(f"{value:.8g}")
