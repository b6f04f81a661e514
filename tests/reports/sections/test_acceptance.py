"""What a backend that only builds said of each case."""

from __future__ import annotations

from reports.record import Built, Failed, Outcome, Rejected, Unsupported
from reports.sections.acceptance import answers
from tests.reports.builders import case, record, run, timed

RTX = "tensorrt_rtx"


def verdict(outcome: Outcome) -> tuple[str, str, str]:
    (answer,) = answers(run(timed(case(), 1000.0), record(case(backend=RTX), outcome)))
    return answer.verdict, answer.target, answer.words


def test_a_built_case_is_accepted_for_its_target() -> None:
    assert verdict(Built("8.9", "no GPU")) == ("accepted", "8.9", "")


def test_a_rejected_case_keeps_the_parsers_own_words() -> None:
    assert verdict(Rejected("8.9", "[E] node 3: no")) == ("rejected", "8.9", "[E] node 3: no")


def test_a_builder_that_died_is_a_crash() -> None:
    assert verdict(Failed("build", "killed by signal 11")) == ("crashed", "", "killed by signal 11")


def test_a_graph_that_never_got_to_the_parser_is_not_called_a_crash() -> None:
    assert verdict(Failed("onnxslim", "boom"))[0] == "not reached"


def test_a_backend_that_is_not_installed_was_not_tried() -> None:
    assert verdict(Unsupported("tensorrt_rtx is not installed"))[0] == "not tried"


def test_a_backend_that_ran_cases_is_not_asked_for_acceptance() -> None:
    ran = timed(case(backend=RTX), 1000.0)
    assert answers(run(ran, record(case("fold", backend=RTX), Rejected("8.9", "no")))) == ()
