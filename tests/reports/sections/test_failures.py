"""Everything without a speed is there with its reason."""

from __future__ import annotations

from reports.record import Failed, Unsupported
from reports.sections.failures import failures, troubles
from tests.reports.builders import case, one_of_every_outcome, record, run, timed


def test_everything_but_measured_and_built_is_listed_gravest_first_with_its_stage() -> None:
    assert [(t.entry.case.pipeline, t.stage) for t in troubles(run(*one_of_every_outcome()))] == [
        ("onnxsim", "onnxsim"),
        ("fold", "build"),
        ("fold", "check"),
        ("fold", "build"),
        ("onnxslim", "plan"),
    ]


def test_the_whole_reason_is_kept() -> None:
    (trouble,) = troubles(run(record(case(), Failed("export", "first line\nsecond line"))))
    assert trouble.reason == "first line\nsecond line"


def test_a_run_without_trouble_has_nothing_to_list() -> None:
    assert failures.blocks(run(timed(case(), 1000.0))) == ()
    assert failures.blocks(run(record(case(), Unsupported("no")))) != ()
