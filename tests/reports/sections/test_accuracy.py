"""Errors per output, whatever became of the case."""

from __future__ import annotations

import msgspec

from reports.accuracy import OutputError
from reports.record import Failed, Inaccurate, Record
from reports.sections.accuracy import COLUMNS, rows
from tests.reports.builders import accuracy, case, entry, record, unlabelled


def shown(of: Record) -> list[dict[str, str]]:
    titles = [column.title for column in COLUMNS]
    return [dict(zip(titles, (cell.text for cell in row), strict=True)) for row in rows(entry(of))]


def test_an_inaccurate_case_is_shown_with_its_errors() -> None:
    (row,) = shown(record(case(), Inaccurate("9 dB")))
    assert (row["absolute mean"], row["relative max"], row["1 − cosine"]) == ("1.00e-03", "9.00e-03", "1.00e-06")


def test_each_output_has_a_row_of_its_own() -> None:
    two = msgspec.structs.replace(accuracy(), outputs=accuracy().outputs * 2)
    assert len(shown(msgspec.structs.replace(record(case(), Inaccurate("9 dB")), accuracy=two))) == 2


def test_outputs_that_are_not_finite_have_no_errors_but_are_counted() -> None:
    broken = OutputError("logits", 10, 4, None, None, 0.0, -300.0)
    nan = msgspec.structs.replace(accuracy(), outputs=(broken,))
    (row,) = shown(msgspec.structs.replace(record(case(), Inaccurate("NaN")), accuracy=nan))
    assert row["absolute mean"] == row["relative p99"] == "–"
    assert row["NaN or infinite"] == "4"


def test_a_case_that_was_never_checked_has_no_row() -> None:
    assert shown(record(case(), Failed("build", "no"))) == []


def test_a_model_without_labels_has_an_agreement_and_no_score() -> None:
    (row,) = shown(msgspec.structs.replace(record(case(), Inaccurate("9 dB")), accuracy=unlabelled(0.97)))
    assert (row["agreement"], row["score"], row["change"]) == ("97.00", "–", "–")


def test_what_else_the_task_is_judged_by_stands_beside_the_errors() -> None:
    more = msgspec.structs.replace(accuracy(), measures=(("matched-box IoU", 0.98765), ("label agreement", 1.0)))
    (row,) = shown(msgspec.structs.replace(record(case(), Inaccurate("9 dB")), accuracy=more))
    assert row["also"] == "matched-box IoU 0.9877, label agreement 1.0000"
