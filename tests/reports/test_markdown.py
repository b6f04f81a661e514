"""A section as text."""

from __future__ import annotations

from reports.blocks import Bar, Cell, Chooser, Column, Option, Prose, Table
from reports.markdown import markdown

TABLE = Table(
    (Column("pass"), Column("median", "µs", "number"), Column("from 1", kind="bar")),
    ((Cell("a|b"), Cell("1.5", 1.5), Cell("", 1.0, bar=Bar(1.0))),),
    "Times",
)


def test_a_table_is_a_heading_and_rows_without_its_bars() -> None:
    assert markdown([TABLE]) == "### Times\n\n| pass | median, µs |\n| --- | ---: |\n| a\\|b | 1.5 |\n"


def test_every_option_of_a_chooser_stands_under_its_names() -> None:
    options = tuple(Option((name, "batch 1"), (Prose(f"About {name}."),)) for name in ("vit", "bert"))
    assert markdown([Prose("First."), Chooser(("variant", "batch"), options)]) == (
        "First.\n\n## vit, batch 1\n\nAbout vit.\n\n## bert, batch 1\n\nAbout bert.\n"
    )
