"""What a backend that only builds said of each case."""

from __future__ import annotations

from reports.blocks import Table
from reports.record import Built, Failed, Outcome, Rejected, Unsupported
from reports.sections.acceptance import acceptance, answers
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


def columns(*outcomes: Outcome) -> list[str]:
    cases = [record(case(batch=n, backend=RTX), outcome) for n, outcome in enumerate(outcomes, 1)]
    table = acceptance.blocks(run(*cases))[-1]
    assert isinstance(table, Table)
    return [column.title for column in table.columns]


def test_the_same_message_on_every_row_is_still_shown_but_no_message_at_all_needs_no_column() -> None:
    refused = Rejected("8.9", "no")
    assert "its own words" in columns(refused, refused)
    assert "its own words" in columns(refused)
    assert "its own words" not in columns(Built("8.9", "no GPU"), Built("8.9", "no GPU"))


def test_a_single_row_keeps_its_variant_and_backend() -> None:
    assert columns(Built("8.9", "no GPU"))[0] == "variant"
    assert "backend" in columns(Built("8.9", "no GPU"))


def test_a_backend_that_ran_cases_is_not_asked_for_acceptance() -> None:
    ran = timed(case(backend=RTX), 1000.0)
    assert answers(run(ran, record(case("fold", backend=RTX), Rejected("8.9", "no")))) == ()
