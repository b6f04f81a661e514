"""Facts, phases and digests."""

from __future__ import annotations

from reports.blocks import Facts, Table
from reports.sections.environment import PhaseTotal, environment, phase_totals
from tests.reports.builders import ENVIRONMENT, case, run, timed


def test_time_is_added_up_for_what_was_done_and_counted_for_what_was_cached() -> None:
    shaped = run(timed(case(), 1000.0), timed(case("fold"), 900.0), timed(case(batch=8), 900.0))
    assert phase_totals(shaped)[0] == PhaseTotal("export", done=2, seconds=3.0, cached=1)


def test_all_facts_are_shown_in_their_order() -> None:
    facts = environment.blocks(run(timed(case(), 1000.0)))[0]
    assert isinstance(facts, Facts)
    assert facts.pairs == ENVIRONMENT.facts


def test_digests_are_shortened_and_whole_when_hovering() -> None:
    table = environment.blocks(run(timed(case(), 1000.0)))[-1]
    assert isinstance(table, Table)
    digest = table.rows[0][1]
    assert (digest.text, digest.hint) == ("0123456789ab", "0123456789abcdef" * 4)
