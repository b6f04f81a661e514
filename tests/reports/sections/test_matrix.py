"""Every case is a row that says what was measured and what was not."""

from __future__ import annotations

import msgspec

from reports.record import Failed, Inaccurate, Record
from reports.sections.matrix import COLUMNS, row
from tests.reports.builders import Clock, case, entry, measured, record, timed


def texts(of: Record) -> dict[str, str]:
    return {column.title: cell.text for column, cell in zip(COLUMNS, row(entry(of)), strict=True)}


def test_throughput_is_the_batch_over_the_median() -> None:
    outcome = measured(case(batch=32), 2000.0, clock=Clock(spread=0.0))
    assert texts(record(case(batch=32), outcome))["throughput"] == "16,000"


def test_a_p99_of_few_samples_is_not_given() -> None:
    few = record(case(), measured(case(), 1000.0, clock=Clock(samples=20, pairs=14)))
    enough = record(case(), measured(case(), 1000.0, clock=Clock(samples=23, pairs=13)))
    assert texts(few)["p99"] == "n too small"
    assert texts(enough)["p99"] != "n too small"


def test_an_inaccurate_case_shows_its_accuracy_and_no_speed() -> None:
    shown = texts(record(case(precision="int8"), Inaccurate("9.1 dB is under 20 dB")))
    assert shown["SNR"] == "60.0"
    assert shown["median"] == shown["p99"] == shown["throughput"] == shown["speedup"] == "–"
    assert shown["notes"] == "9.1 dB is under 20 dB"


def test_a_failure_names_its_stage_and_keeps_the_whole_reason_for_hovering() -> None:
    cells = row(entry(record(case(), Failed("build", "line one\n" + "x" * 500))))
    assert cells[-1].text.startswith("build: line one x")
    assert len(cells[-1].text) <= 70
    assert cells[-1].hint.endswith("x" * 500)


def test_too_few_blocks_for_an_interval_are_noted() -> None:
    assert "too few blocks" in texts(record(case(), measured(case(), 1000.0, clock=Clock(pairs=4))))["notes"]


def test_what_was_not_ideal_is_noted() -> None:
    plain = timed(case(), 1000.0)
    noted = msgspec.structs.replace(plain, outcome=msgspec.structs.replace(plain.outcome, notes=("unsettled", "hot")))
    assert texts(noted)["notes"] == "unsettled, hot"


def test_the_id_that_the_user_types_is_at_hand() -> None:
    assert row(entry(timed(case("fold"), 900.0)))[0].hint == "vit_digits-fold-fp32-b1-onnxruntime"
