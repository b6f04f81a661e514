"""A result on the terminal: the choice, the front, the ranking, how to repeat each point, and what was not tried."""

from __future__ import annotations

import math
from collections.abc import Iterator

from bench.tune.budget import said
from bench.tune.result import Result, Row
from bench.tune.sensitivity import Sensitivity, decibel
from reports.wording import count, decimals, microseconds, range_times, times

RANKED = 12
"""Rows of each ranking that are printed; tune.json has all."""
UNTRIED = 6


def lines(result: Result) -> Iterator[str]:
    """Every line, without the files."""
    request = result.request
    yield f"{request.variant}, batch {request.batch}, {request.backend}: the fastest within {request.goal}"
    yield ""
    yield from _choice(result)
    yield from _front(result)
    yield from _sensitivity(result)
    yield from _hand(result)
    yield from _duels(result)
    yield "To measure the choice or a point of the front again:"
    chosen = [result.choice] if result.choice else []
    yield from dict.fromkeys(f"  {row.command}" for row in (*chosen, *result.front))
    yield from _not_tried(result)


def _choice(result: Result) -> Iterator[str]:
    row = result.choice
    if row is None:
        return
    yield f"Choice: {row.passes} {row.precision}"
    yield f"  {times(row.speedup.value)} ({range_times(row.speedup)}) as fast as the raw fp32 export, {row.said}; {row.accuracy}"
    if row.kept:
        yield f"  kept high: {', '.join(row.kept)}"
    yield ""


def _front(result: Result) -> Iterator[str]:
    timed = [entry for entry in result.points if not entry.same_as]
    yield f"Front: {len(result.front)} of {count(len(timed), 'program')} timed ({count(len(result.points), 'combination')}), fastest first"
    yield f"  {'latency us':>20}  {'speedup':>22}  {'accuracy':<16} {'held-out half':<16} goal  passes, precision"
    for row in result.front:
        latency = f"{microseconds(row.latency_us.value)} ({_low_high(row)})"
        ratio = f"{times(row.speedup.value)} ({range_times(row.speedup)})"
        figures = f"{latency:>20}  {ratio:>22}  {row.said:<16} {row.held_out or '-':<16}"
        yield f"  {figures} {'yes' if row.within else 'no':<5} {row.passes}  {row.precision}"
    if result.noise:
        yield f"  noise: the raw export against its own copy read {times(result.noise.value)} ({range_times(result.noise)})"
    noted = [note for row in result.front for note in row.notes]
    yield from (f"  note: {note}" for note in dict.fromkeys(noted))
    yield ""


def _low_high(row: Row) -> str:
    digits = decimals(row.latency_us.value)
    return f"{row.latency_us.low:,.{digits}f}-{row.latency_us.high:,.{digits}f}"


def _sensitivity(result: Result) -> Iterator[str]:
    for precision in dict.fromkeys(entry.precision for entry in result.sensitivity):
        every = [entry for entry in result.sensitivity if entry.precision == precision]
        ranking = [entry for entry in every if entry.alone is not None]
        shown = ranking[:RANKED]
        yield f"Sensitivity in {precision}: {len(shown)} of {count(len(ranking), 'unit')}, the most sensitive first"
        yield f"  {'score':>6}  {'only this low':>13}  {'all but this low':>16}  {'saves us':>9}  unit"
        yield from (f"  {_sensitive(entry)}" for entry in shown)
        if len(every) > len(ranking):
            yield f"  {count(len(every) - len(ranking), 'unit')} could not be lowered alone; tune.json says why each"
        yield ""


def _sensitive(entry: Sensitivity) -> str:
    saved = "-" if entry.saved_us is None else f"{entry.saved_us:.1f}"
    why = f"  ({entry.why})" if entry.why else ""
    return f"{entry.score:>6.3f}  {_snr(entry.alone):>13}  {_snr(entry.without):>16}  {saved:>9}  {entry.unit}{why}"


def _snr(noise: float | None) -> str:
    value = decibel(noise)
    if value is None:
        return "-"
    return "equal" if math.isinf(value) else f"{value:.1f} dB"


def _hand(result: Result) -> Iterator[str]:
    if not result.hand_chosen:
        return
    open_ = [match for match in result.hand_chosen if not match.by]
    yield f"Chosen by hand: {count(len(result.hand_chosen), 'combination')} of the presets timed; " + (
        f"{len(open_)} beaten by no point of the front" if open_ else "for each the front has a point no worse in accuracy and no slower"
    )
    yield from (f"  not matched: {match.hand}" for match in open_)
    yield ""


def _duels(result: Result) -> Iterator[str]:
    if not result.duels:
        return
    yield "Duels of those that noise could have put in another order (each pair taking turns):"
    for duel in result.duels:
        doubt = "" if duel.ratio.low > 1 or duel.ratio.high < 1 else ", no difference seen"
        yield f"  {duel.challenger} against {duel.champion}: {times(duel.ratio.value)} ({range_times(duel.ratio)}){doubt}"
    yield ""


def _not_tried(result: Result) -> Iterator[str]:
    yield ""
    yield f"{said(result.seconds)} spent of {said(result.request.budget_s)}"
    if result.left_out:
        yield f"Left out: {count(len(result.left_out), 'candidate')}; tune.json says why each"
    if result.untried:
        yield f"Not tried, the budget was spent: {count(len(result.untried), 'thing')}; run the same command again to go on"
        yield from (f"  {what}" for what in result.untried[:UNTRIED])
        yield from ([f"  and {len(result.untried) - UNTRIED} more"] if len(result.untried) > UNTRIED else [])
