"""What a model is made of, once however many cases it has."""

from __future__ import annotations

import msgspec

from reports.record import GraphSize, ModelFacts, Record
from reports.sections.models import COLUMNS, models, rows
from tests.reports.builders import case, run, timed


def with_model(of: Record, sizes: str = "batch 1", parameters: int = 5_700_000) -> Record:
    return msgspec.structs.replace(
        of, model=ModelFacts(sizes, 17, GraphSize(400, 480, 22_800_000), parameters, 2_500_000_000, 50_000_000, 0)
    )


def test_a_model_is_told_once_for_each_shape() -> None:
    several = run(
        with_model(timed(case(), 1000.0)), with_model(timed(case("fold"), 900.0)), with_model(timed(case(batch=8), 5000.0), "batch 8")
    )
    assert [row[1].text for row in rows(several)] == ["batch 1", "batch 8"]


def test_operations_bytes_and_what_one_is_to_the_other_are_shown() -> None:
    (row,) = rows(run(with_model(timed(case(), 1000.0))))
    shown = dict(zip((column.title for column in COLUMNS), (cell.text for cell in row), strict=True))
    assert (shown["opset"], shown["parameters"], shown["operations"], shown["bytes"]) == ("17", "5.700", "2.5000", "50.000")
    assert shown["intensity"] == "50.0"


def test_a_model_that_never_was_a_module_has_no_parameter_count() -> None:
    (row,) = rows(run(with_model(timed(case(), 1000.0), parameters=0)))
    assert row[5].text == "–"


def test_records_of_before_have_no_section() -> None:
    assert models.blocks(run(timed(case(), 1000.0))) == ()
