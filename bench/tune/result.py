"""What a search came to, as it is written to tune.json and printed: plain data with the options that reproduce each point."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import msgspec

from bench.tune.goal import Goal
from bench.tune.point import Point, front, matched_by
from bench.tune.quest import Found
from bench.tune.sensitivity import Sensitivity
from reports.case import Case
from reports.record import Environment
from reports.statistics import Estimate


class Request(msgspec.Struct, frozen=True):
    """What was asked, `asked` in words; `words` are the options of pytest that every point needs beside its axes (files, threads)."""

    variant: str
    backend: str
    batch: int
    goal: str
    budget_s: float
    preset: str
    metric: str
    own: bool = False
    words: tuple[str, ...] = ()
    asked: str = ""


class Row(msgspec.Struct, frozen=True):
    """A point of the front; losses are in the goal's sense, `halves` on the half that chose and on the half held out."""

    passes: str
    precision: str
    within: bool
    loss: float
    said: str
    accuracy: str
    latency_us: Estimate
    speedup: Estimate
    command: str
    kept: tuple[str, ...] = ()
    halves: tuple[float, float] | None = None
    held_out: str = ""
    notes: tuple[str, ...] = ()


class Match(msgspec.Struct, frozen=True):
    """A combination chosen by hand, and the point of the front that is no worse in accuracy and no slower; "" where there is none."""

    hand: str
    loss: float
    speedup: float
    by: str
    by_loss: float
    by_speedup: float


class Duel(msgspec.Struct, frozen=True):
    """How many times faster the first is than the second, the two taking turns."""

    challenger: str
    champion: str
    ratio: Estimate


class Result(msgspec.Struct, frozen=True):
    """Everything; `choice` is the fastest within the goal, None where nothing is."""

    request: Request
    environment: Environment
    choice: Row | None
    front: tuple[Row, ...]
    sensitivity: tuple[Sensitivity, ...]
    hand_chosen: tuple[Match, ...]
    duels: tuple[Duel, ...]
    points: tuple[Point, ...]
    left_out: dict[str, str]
    untried: tuple[str, ...]
    nearest: str
    data: str
    noise: Estimate | None
    seconds: float


DATA = (
    "int8 ranges: the calibration split. Sensitivity and what to keep: every second input of the test split. "
    "Every timed point: judged on the whole test split, as every record is. "
    "The last of these sets nothing but which points are within the goal; the held-out half chose nothing before."
)


def result(found: Found, request: Request, goal: Goal, environment: Environment, seconds: float) -> Result:
    """Shape what was found."""
    best = front(found.points)
    rows = tuple(_row(entry, found, request, goal) for entry in best)
    return Result(
        request=request,
        environment=environment,
        choice=_row(found.winner, found, request, goal) if found.winner else None,
        front=rows,
        sensitivity=tuple(found.sensitivities),
        hand_chosen=tuple(_match(hand, best) for hand in found.points if hand.hand),
        duels=tuple(Duel(*entry) for entry in found.duels),
        points=tuple(sorted(found.points, key=lambda entry: -entry.speedup.value)),
        left_out=found.left_out,
        untried=tuple(found.untried),
        nearest=_nearest(found, goal),
        data=DATA,
        noise=found.noise,
        seconds=seconds,
    )


def command(case: Case, request: Request) -> str:
    """The line that measures this point again, quoted for a shell."""
    variant = [] if request.own else ["--variants", case.variant]
    words = ["pytest", "bench/", "--benchmark-only", "--preset", request.preset, *variant, "--passes", case.pipeline]
    words += ["--precisions", case.precision, "--batches", str(case.batch), "--backends", case.backend, *request.words]
    return shlex.join(words)


def _row(entry: Point, found: Found, request: Request, goal: Goal) -> Row:
    case, halves = entry.case, found.halves.get(entry.case.id)
    return Row(
        passes=case.pipeline,
        precision=case.precision,
        within=entry.within,
        loss=entry.loss,
        said=goal.said(entry.loss),
        accuracy=entry.accuracy,
        latency_us=entry.latency_us,
        speedup=entry.speedup,
        command=command(case, request),
        kept=found.kept.get(case.precision, ()),
        halves=halves,
        held_out=goal.said(halves[1]) if halves else "",
        notes=entry.notes,
    )


def _match(hand: Point, best: Sequence[Point]) -> Match:
    by = matched_by(hand, best)
    other = (by.case.id, by.loss, by.speedup.value) if by else ("", 0.0, 0.0)
    return Match(hand.case.id, hand.loss, hand.speedup.value, *other)


def _nearest(found: Found, goal: Goal) -> str:
    """How near anything came, in the goal's words."""
    if not found.nearest:
        return "nothing could be run"
    name, loss = min(found.nearest.items(), key=lambda entry: entry[1])
    return f"{name} came nearest with {goal.said(loss)}"
