"""exportTimes of every generation: computeMs is the time, whatever the other fields are called."""

from __future__ import annotations

import pytest

from common.errors import UserError
from reports.layers.sources.export_times import median, parse
from tests.reports.layers.files import TIMES, times


@pytest.mark.parametrize("generation", TIMES)
def test_the_latency_is_the_median_of_what_was_computed(generation: str) -> None:
    found = parse(times(generation).encode())
    assert found.latencies_us == (1250, 1500, 9000)
    assert found.latency_us == 1500


@pytest.mark.parametrize(("generation", "expected"), [("7.0", None), ("7.2", 250), ("8.0", 250), ("8.4", 250)])
def test_enqueue_times_are_found_where_7_2_wrote_them_under_another_name(generation: str, expected: float | None) -> None:
    assert parse(times(generation).encode()).enqueue_us == expected


def test_the_median_of_an_even_number_is_between_the_middle_two() -> None:
    assert median([4, 1, 2, 3]) == 2.5


@pytest.mark.parametrize("text", ["[]", "[{}]", '[{"startComputeMs":1}]', "[{", '{"computeMs":1}', times("8.4")[:-40]])
def test_what_holds_no_run_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"exportTimes.*: export it again"):
        parse(text.encode())
