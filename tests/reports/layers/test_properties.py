"""Whatever the bytes: a Profile whose shares add up, or one sentence. Never another exception."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.discover import discover
from common.errors import UserError
from reports.layers.found import Described, Source, Time
from reports.layers.join import join
from reports.layers.recognise import parse
from tests.reports.layers import files
from tests.reports.layers.whole import SEEDS, check, whole

quick = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=40)
ROWS = st.lists(st.tuples(NAMES, st.floats(0, 1e6)), min_size=1, max_size=8)
BITS = [b"nan", b'"', b"\\", b"-1", b"1e999", b"null", b"[", b"{", b"\x1e"]


@quick
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    whole(data)


@quick
@given(st.sampled_from(SEEDS), st.data())
def test_a_real_file_changed_anywhere_is_read_or_refused(seed: str, data: st.DataObject) -> None:
    text = seed.encode()
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 30)))
        text = text[:start] + data.draw(st.binary(max_size=12) | st.sampled_from(BITS)) + text[end:]
    whole(text)


@quick
@given(ROWS)
def test_a_profile_says_what_was_written_whatever_the_names(rows: list[tuple[str, float]]) -> None:
    found = parse(files.profile(rows).encode())
    if not any('"' in name or "\\" in name for name, _ in rows):
        assert [time.name for time in found.times] == [name for name, _ in rows]
    assert len(found.times) == len(rows)
    assert [time.mean_us for time in found.times] == [pytest.approx(mean * 1e3, rel=1e-5, abs=1e-9) for _, mean in rows]


@quick
@given(st.lists(st.sampled_from("abcd"), max_size=9), st.lists(st.sampled_from("abcd"), max_size=9))
def test_a_join_keeps_every_row_of_both_sides_once(timed: list[str], named: list[str]) -> None:
    joined = join([Time(name, 1.0) for name in timed], [Described(name, str(at)) for at, name in enumerate(named)])
    assert [time.name for time, _ in joined.rows if time] == timed
    assert sorted(one.type for _, one in joined.rows if one) == sorted(str(at) for at in range(len(named)))
    assert all(time.name == one.name for time, one in joined.rows if time and one)
    pairs = sum(min(timed.count(letter), named.count(letter)) for letter in "abcd")
    assert sum(time is not None and one is not None for time, one in joined.rows) == pairs


@pytest.mark.parametrize("crasher", sorted((Path(__file__).parent / "crashers").iterdir()), ids=lambda path: path.name)
def test_what_once_crashed_a_parser_is_read_or_refused(crasher: Path) -> None:
    whole(crasher.read_bytes())
    for source in discover("reports.layers.sources", Source).values():
        with suppress(UserError):
            check(source.value.parse(crasher.read_bytes()))
