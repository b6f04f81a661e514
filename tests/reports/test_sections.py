"""What every section must hold, whatever the run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from common.discover import discover
from reports.blocks import Block, Chooser, Prose, Table
from reports.html import Part, parts
from reports.record import Record
from reports.section import Section
from tests.reports.builders import case, many, one_of_every_outcome, run, timed

SECTIONS = discover("reports.sections", Section)
RUNS: dict[str, tuple[Record, ...]] = {
    "nothing": (),
    "one case": (timed(case(), 1000.0),),
    "every outcome": one_of_every_outcome(),
    "many": many(60),
}


def tables(blocks: Iterable[Block]) -> Iterator[Table]:
    for block in blocks:
        if isinstance(block, Table):
            yield block
        if isinstance(block, Chooser):
            for option in block.options:
                yield from tables(option.blocks)


def choosers(blocks: Iterable[Block]) -> Iterator[Chooser]:
    return (block for block in blocks if isinstance(block, Chooser))


@pytest.mark.parametrize("records", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("name", SECTIONS)
def test_every_row_has_a_cell_a_column_and_no_table_is_empty(name: str, records: tuple[Record, ...]) -> None:
    for table in tables(SECTIONS[name].value.blocks(run(*records))):
        assert table.rows
        assert {len(row) for row in table.rows} == {len(table.columns)}


@pytest.mark.parametrize("records", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("name", SECTIONS)
def test_every_option_has_a_name_a_label_and_no_two_have_the_same(name: str, records: tuple[Record, ...]) -> None:
    for chooser in choosers(SECTIONS[name].value.blocks(run(*records))):
        names = [option.names for option in chooser.options]
        assert {len(one) for one in names} == {len(chooser.labels)}
        assert len(set(names)) == len(names)


# What these two show is committed, not the run's: tests/reports/sections takes it away.
@pytest.mark.parametrize("part", [part for part in parts(run()) if part.name not in ("kernels", "gpu_passes")], ids=lambda part: part.name)
def test_a_section_with_nothing_to_show_says_so_in_one_sentence(part: Part) -> None:
    (only,) = part.blocks
    assert isinstance(only, Prose)
    assert only.text.endswith(".")


def test_sections_stand_in_the_order_that_a_reader_needs_them() -> None:
    """Of these ten; a new section may stand anywhere between."""
    ten = [
        "headline",
        "ladder",
        "pareto",
        "passes",
        "matrix",
        "layers",
        "acceptance",
        "failures",
        "accuracy",
        "environment",
    ]
    names = [part.name for part in parts(run())]
    assert [name for name in names if name in ten] == ten
    assert (names[0], names[-1]) == ("headline", "environment")
