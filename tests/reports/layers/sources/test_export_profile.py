"""exportProfile of every generation, and what its writer gets wrong."""

from __future__ import annotations

import pytest

from common.errors import UserError
from reports.layers.sources.export_profile import parse
from tests.reports.layers.files import ROWS, profile


@pytest.mark.parametrize("median", [True, False])
def test_times_are_microseconds_a_run_with_or_without_a_median(median: bool) -> None:
    found = parse(profile(median=median).encode())
    assert [time.name for time in found.times] == [name for name, _ in ROWS]
    assert [time.mean_us for time in found.times] == pytest.approx([mean * 1e3 for _, mean in ROWS])
    assert [time.total_us for time in found.times] == pytest.approx([mean * 1e4 for _, mean in ROWS])
    assert found.times[0].median_us == (500 if median else None)
    assert found.runs == 10


def test_a_mean_by_a_layers_own_calls_is_told_from_a_mean_a_run() -> None:
    twice = '[{"count":10},{"name":"loop body","timeMs":20,"averageMs":1,"medianMs":0.9,"percentage":100}]'
    (time,) = parse(twice.encode()).times
    assert (time.calls, time.mean_us, time.median_us) == (2, 2000, 1800)


def test_a_layer_of_some_runs_is_spread_over_all_and_said_to_be() -> None:
    rare = '[{"count":10},{"name":"rare","timeMs":2,"averageMs":1,"percentage":100}]'
    found = parse(rare.encode())
    assert found.times[0].mean_us == pytest.approx(200)
    assert found.notes == ("1 layers ran in only some of the runs; their times are spread over all runs",)


NAMES = [
    'say "hi"',
    r"C:\dir\model",
    'a", "timeMs" : 1 tail',
    "größe/层",
    "<b>bold</b>",
    "tab\there",
    "\x1e\x1f",
    "a \\",
    '"',
    "x" * 30_000,
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_read_as_it_was_written_unescaped(name: str) -> None:
    found = parse(profile([("first", 0.5), (name, 0.25), ("last", 0.25)]).encode())
    assert [time.name for time in found.times] == ["first", name, "last"]
    assert found.times[-1].mean_us == pytest.approx(250)


@pytest.mark.parametrize("number", ["nan", "-nan", "inf"])
def test_what_is_no_number_counts_as_nothing(number: str) -> None:
    text = profile().replace('"percentage" : 50', f'"percentage" : {number}').replace('"timeMs" : 1.25', f'"timeMs" : {number}')
    found = parse(text.encode())
    assert [time.total_us for time in found.times] == [5000, 0, 3750]


def test_exponents_and_layers_without_time_stay() -> None:
    found = parse(profile([("tiny", 1.25e-7), ("nothing", 0.0)]).encode())
    assert [time.mean_us for time in found.times] == [pytest.approx(1.25e-4), 0]


def test_a_profile_of_which_every_layer_took_no_time_is_read() -> None:
    assert [time.mean_us for time in parse(profile([("a", 0.0), ("b", 0.0)]).encode()).times] == [0, 0]


BROKEN = {
    "cut off": profile()[:-20],
    "cut off in a name": profile()[:150],
    "cut off after a quoted name": profile([('a "b"', 1.0), ("c", 1.0)])[:-30],
    "no layer": '[{"count":3}]',
    "a number for a name": '[{"count":3},{"name":4,"timeMs":1,"averageMs":1,"percentage":1}]',
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_damaged_one_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(UserError, match=r"^(is cut off|is not trtexec's|holds no layer).+: (export it again|run trtexec .+)$"):
        parse(text.encode())


@pytest.mark.parametrize("number", ["-1", "1e300", "1e999", "1e-320", str(10**400)])
def test_an_absurd_number_is_no_time_and_no_crash(number: str) -> None:
    text = profile().replace('"timeMs" : 1.25', f'"timeMs" : {number}').replace('"count" : 10', f'"count" : {number}')
    assert len(parse(text.encode()).times) == 3
