"""Times and descriptions of one engine, joined by name; duplicates by occurrence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from reports.layers.ancestry import without_profile
from reports.layers.found import Described, Time

Row = tuple[Time | None, Described | None]


@dataclass(frozen=True, slots=True)
class Joined:
    """Every time and every description once, in the order of the times and then of what was left over.

    `unmatched` is the share (0..1) of the time whose layers no description names, None where there was nothing to join;
    `untimed` counts descriptions without a time.
    """

    rows: Sequence[Row]
    unmatched: float | None = None
    untimed: int = 0


def join(times: Sequence[Time], described: Sequence[Described]) -> Joined:
    """By name, the n-th of a name with the n-th; then what is left, without its ` [profile N]`. Never by position."""
    if not described:
        return Joined([(time, None) for time in times])
    if not times:
        return Joined([(None, one) for one in described])
    if len(times) == len(described) and all(time.name == one.name for time, one in zip(times, described, strict=True)):
        return Joined(list(zip(times, described, strict=True)), 0.0)
    partner, used = _partners(times, described)
    rows: list[Row] = [(time, None if at is None else described[at]) for time, at in zip(times, partner, strict=True)]
    rows += [(None, one) for at, one in enumerate(described) if at not in used]
    return Joined(rows, _unmatched(times, partner), len(rows) - len(times))


def _partners(times: Sequence[Time], described: Sequence[Described]) -> tuple[list[int | None], set[int]]:
    """For each time the index of its description, and the indices used."""
    partner: list[int | None] = [None] * len(times)
    used: set[int] = set()
    for plain in (False, True):
        free: dict[str, list[int]] = defaultdict(list)
        for at in range(len(described) - 1, -1, -1):
            if at not in used:
                name = described[at].name
                free[_plain(name) if plain else name].append(at)
        for place, time in enumerate(times):
            if partner[place] is None:
                waiting = free.get(_plain(time.name) if plain else time.name)
                if waiting:
                    partner[place] = at = waiting.pop()
                    used.add(at)
    return partner, used


def _plain(name: str) -> str:
    """Only the first profile may stand in for a name without one, so that a name with another number finds no partner here."""
    return without_profile(name).translate(_DIRT)


_DIRT = {ord(character): None for character in '"\\\x1e\x1f�'}


def _unmatched(times: Sequence[Time], partner: Sequence[int | None]) -> float:
    total = sum(time.mean_us for time in times)
    if not total:
        return sum(at is None for at in partner) / len(times)
    return sum(time.mean_us for time, at in zip(times, partner, strict=True) if at is None) / total
