"""What each pass and precision did to the graph, and what that was worth."""

from __future__ import annotations

from dataclasses import dataclass

from reports.blocks import MISSING, Block, Cell, Column, Prose, Table
from reports.case import Case
from reports.record import Step
from reports.run import PLAIN, Entry, Run, step_gain
from reports.section import Section
from reports.statistics import Estimate
from reports.wording import claim, megabytes, number, range_times, ratio_bar, times


@dataclass(frozen=True, slots=True)
class Effect:
    """One step in its context: after which steps it came, what it did, and how much faster it made the case.

    `gain` is None where the case with the step, or the one without it, has no speed on `backend`.
    """

    variant: str
    after: tuple[str, ...]
    step: Step
    batch: int
    backend: str
    gain: Estimate | None
    pairs: int = 0
    noise: float | None = None


def effects(run: Run) -> tuple[Effect, ...]:
    """Every distinct step once a batch; once a backend where several could tell its effect on latency."""
    known = {(entry.case, entry.record.environment.key): entry for entry in run.entries}
    timed = {entry.case.backend for entry in run.timed}
    found: dict[tuple[object, ...], Effect] = {}
    for entry in run.entries:
        for index, step in enumerate(entry.record.steps):
            effect = _effect(run, known, entry, index)
            backend = effect.backend if effect.backend in timed else ""
            key = (effect.variant, effect.after, step, effect.batch, backend, _environment(run, entry))
            found.setdefault(key, effect)
    told = {key[:4] for key in found if key[4]}
    return tuple(effect for key, effect in found.items() if key[4] or key[:4] not in told)


def _environment(run: Run, entry: Entry) -> str:
    return entry.record.environment.key if entry.timing else run.environments[0].key


def _effect(run: Run, known: dict[tuple[Case, str], Entry], entry: Entry, index: int) -> Effect:
    case, key = entry.case, entry.record.environment.key
    names = tuple(step.name for step in entry.record.steps)
    is_pass = names[: index + 1] == case.passes[: index + 1]
    with_it = (case.passes[: index + 1], PLAIN) if is_pass else (case.passes, case.precision)
    without = (case.passes[:index] if is_pass else case.passes, PLAIN)
    pair = [known.get((Case(case.variant, p, kind, case.batch, case.backend), key)) for p, kind in (with_it, without)]
    after, before = pair
    gained = step_gain(after, before) if after and before else None
    pairs = min(e.timing.pairs for e in pair if e and e.timing) if gained else 0
    noise = run.noise_at(entry.place)
    return Effect(
        case.variant, names[:index], entry.record.steps[index], case.batch, case.backend, gained, pairs, noise
    )


def _blocks(run: Run) -> tuple[Block, ...]:
    found = effects(run)
    if not found:
        return ()
    how = Prose(
        "A pass is judged in fp32, a precision against fp32 with the same passes. Initializer bytes count "
        "initializers and Constant nodes; counts include sub-graph bodies."
    )
    return how, Table(_columns(), tuple(_row(effect) for effect in found), search=len(found) > 12)


def _columns() -> tuple[Column, ...]:
    return (
        Column("variant", filter=True),
        Column("step", filter=True),
        Column("after", filter=True),
        Column("batch", "", "number", filter=True),
        Column("rewrites", "", "number", hint="what the step itself says that it changed"),
        Column("nodes before", "", "number"),
        Column("nodes after", "", "number"),
        Column("tensors before", "", "number"),
        Column("tensors after", "", "number"),
        Column("initializers before", "MB", "number"),
        Column("initializers after", "MB", "number"),
        Column("library"),
        Column("backend", filter=True),
        Column("speedup of the step", "", "number"),
        Column("95 % interval", "", "number"),
        Column("from 1", kind="bar"),
        Column("so"),
    )


def _row(effect: Effect) -> tuple[Cell, ...]:
    step, before, after = effect.step, effect.step.before, effect.step.after
    rewrites = number(step.rewrites, 0) if step.rewrites else Cell("no effect", 0, tone="muted")
    return (
        Cell(effect.variant),
        Cell(step.name, hint=step.label),
        Cell(" + ".join(effect.after) or "export"),
        number(effect.batch, 0),
        rewrites,
        number(before.nodes, 0),
        _changed(before.nodes, after.nodes),
        number(before.tensors, 0),
        _changed(before.tensors, after.tensors),
        megabytes(before.parameter_bytes),
        megabytes(after.parameter_bytes),
        Cell(step.version or "–"),
        Cell(effect.backend),
        *_gain_cells(effect),
    )


def _changed(before: int, after: int) -> Cell:
    return Cell(f"{after:,}", after, tone="" if after != before else "muted", hint=f"{after - before:+,}")


def _gain_cells(effect: Effect) -> tuple[Cell, Cell, Cell, Cell]:
    if effect.gain is None:
        return MISSING, MISSING, MISSING, Cell("not timed with and without it", tone="muted")
    said = claim(effect.gain, effect.pairs, effect.noise)
    return (
        Cell(times(effect.gain.value), effect.gain.value),
        Cell(range_times(effect.gain), effect.gain.half_width),
        ratio_bar(effect.gain),
        Cell(said.text, tone=said.tone),
    )


passes = Section(40, "Passes", _blocks, "No record holds a graph pass or a precision step.")
