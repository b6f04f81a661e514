"""How a journal becomes what the sections read."""

from __future__ import annotations

import msgspec
import pytest

from reports.case import Case
from reports.record import Environment, Inaccurate, Measured
from reports.run import read_run, step_gain
from tests.reports.builders import case, journal, measured, record, run, timed

OTHER = Environment("ff" * 32, (("cpu", "Another CPU"),))


def test_of_a_case_recorded_twice_the_later_record_counts_and_that_is_said() -> None:
    shaped = run(timed(case("fold"), 900.0), timed(case("fold"), 500.0))
    (entry,) = shaped.entries
    assert entry.timing
    assert entry.timing.median_us.value == pytest.approx(500, rel=0.01)
    assert "1 earlier record(s)" in shaped.warnings[0]


def test_the_same_case_in_two_environments_stays_two_entries_and_that_is_said() -> None:
    shaped = run(timed(case(), 900.0), record(case(), measured(case(), 500.0), OTHER))
    assert len(shaped.entries) == len(shaped.places()) == 2
    assert "2 environments" in shaped.warnings[0]


def test_warnings_of_the_journal_are_kept() -> None:
    assert read_run(journal(warnings=("torn",))).warnings == ("torn",)


def test_the_noise_is_how_far_a_plain_export_was_from_its_own_copy() -> None:
    shaped = run(timed(case(), 1030.0, 1000.0), timed(case("fold"), 500.0))
    noise = shaped.noise_at(shaped.entries[1].place)
    assert noise is not None
    assert 0.027 < noise < 0.035


def test_without_a_self_pair_the_noise_is_not_known() -> None:
    shaped = run(timed(case("fold"), 500.0))
    assert shaped.noise_at(shaped.entries[0].place) is None


def test_an_inaccurate_case_has_no_timing() -> None:
    (entry,) = run(record(case(), Inaccurate("9 dB"))).entries
    assert entry.timing is None
    assert entry.reason == "9 dB"


def test_a_measured_record_without_samples_has_no_speed_and_is_warned_of() -> None:
    shaped = run(record(case("fold"), Measured((), case().id, ())))
    assert shaped.timed == ()
    assert "holds no samples" in shaped.warnings[0]


def test_a_step_is_worth_the_ratio_of_the_two_speedups() -> None:
    before, after = run(timed(case("fold"), 800.0), timed(case("fold+onnxslim"), 400.0)).entries
    gained = step_gain(after, before)
    assert gained
    assert gained.value == pytest.approx(2.0, rel=0.01)


@pytest.mark.parametrize("other", [case("fold", batch=8), case("fold", backend="other"), case("fold", variant="bert")])
def test_cases_of_different_places_are_not_compared(other: Case) -> None:
    first, second = run(timed(case(), 800.0), timed(other, 400.0)).entries
    assert step_gain(second, first) is None


def test_cases_of_different_environments_are_not_compared() -> None:
    elsewhere = record(case("fold"), measured(case("fold"), 400.0), OTHER)
    first, second = run(timed(case(), 800.0), elsewhere).entries
    assert step_gain(second, first) is None


def test_cases_with_different_baselines_are_not_compared() -> None:
    fold = timed(case("fold"), 400.0)
    assert isinstance(fold.outcome, Measured)
    odd = msgspec.structs.replace(fold, outcome=msgspec.structs.replace(fold.outcome, baseline="something else"))
    first, second = run(timed(case(), 800.0), odd).entries
    assert step_gain(second, first) is None


def test_the_plain_precision_comes_first_so_that_it_keeps_the_neutral_colour() -> None:
    shaped = run(timed(case(precision="bf16"), 1.0), timed(case(), 1.0), timed(case(precision="int8"), 1.0))
    assert shaped.precisions == ("fp32", "bf16", "int8")
