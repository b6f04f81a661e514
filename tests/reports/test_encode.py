"""Data inside a script element cannot leave it."""

from __future__ import annotations

import base64
import gzip
import json

from reports.blocks import Axis, Bar, Cell, Chart, Chooser, Column, Option, Prose, Table, Trace
from reports.encode import PACKED_FROM, island

HOSTILE = "</script><img src=x onerror=alert(1)>"


def table(*texts: str) -> Table:
    return Table((Column("name"),), tuple((Cell(text),) for text in texts))


def test_no_angle_bracket_or_ampersand_is_left_in_the_text_and_it_reads_back_the_same() -> None:
    kind, text = island(table(HOSTILE, "a&b"))
    assert kind == "application/json"
    assert not set("<>&") & set(text)
    assert json.loads(text)["rows"] == [[HOSTILE], ["a&b"]]


def test_long_data_is_packed_and_reads_back_the_same() -> None:
    names = [f"{HOSTILE}{n}" for n in range(PACKED_FROM // 20)]
    kind, text = island(table(*names))
    assert kind == "application/gzip"
    assert not set("<>&") & set(text)
    assert json.loads(gzip.decompress(base64.b64decode(text)))["rows"] == [[name] for name in names]


def test_a_cell_is_as_short_as_what_it_holds() -> None:
    cells = (Cell("a"), Cell("1", 1.0), Cell("b", hint="more"), Cell("", 2.0, bar=Bar(2.0, 1.0, 3.0)))
    _, text = island(Table((Column("x"),) * 4, (cells,)))
    assert json.loads(text)["rows"] == [["a", ["1", 1.0], ["b", None, "", "more"], ["", 2.0, "", "", [2.0, 1.0, 3.0, None]]]]


def test_numbers_keep_eight_digits_because_more_of_them_would_only_be_bytes() -> None:
    third = Cell("a third", 1 / 3, bar=Bar(1 / 3))
    _, text = island(Table((Column("x"),), ((third,),)))
    assert json.loads(text)["rows"] == [[["a third", 0.33333333, "", "", [0.33333333, None, None, None]]]]
    _, text = island(Chart("", (Trace("points", "t", (1 / 3,), (2 / 3,)),), Axis("x"), (Axis("y"),)))
    (trace,) = json.loads(text)["traces"]
    assert (trace["x"], trace["y"]) == ([0.33333333], [0.66666667])


def test_numbers_that_json_has_no_word_for_become_null() -> None:
    _, text = island(Table((Column("x"),), ((Cell("nan", float("nan")),),)))
    assert json.loads(text)["rows"] == [[["nan", None]]]


def test_a_chooser_carries_its_options_blocks_by_kind() -> None:
    _, text = island(Chooser(("batch",), (Option(("1",), (Prose("one"), table("x"))),)))
    (option,) = json.loads(text)["options"]
    assert [block["kind"] for block in option["blocks"]] == ["prose", "table"]
