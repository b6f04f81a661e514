"""What each pass and precision did to the graph, and what that was worth."""

from __future__ import annotations

from dataclasses import dataclass

from reports.blocks import MISSING, Block, Cell, Column, Prose, Table
from reports.case import Case
from reports.pass_table import ALL
from reports.record import Step
from reports.run import PLAIN, Entry, Run, step_gain
from reports.section import Section
from reports.statistics import Estimate
from reports.wording import claim, number, range_times, ratio_bar, times


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
    is_pass: bool
    gain: Estimate | None
    pairs: int = 0
    noise: float | None = None


def effects(run: Run) -> tuple[Effect, ...]:
    """Every distinct step once a batch, passes first; once a backend where several could tell its effect on latency."""
    known = {(entry.case, entry.record.environment.key): entry for entry in run.entries}
    timed = {entry.case.backend for entry in run.timed}
    found: dict[tuple[object, ...], Effect] = {}
    for entry in run.entries:
        if _varies(entry.case):
            continue
        for index, step in enumerate(entry.record.steps):
            if step.name == PLAIN and not step.rewrites:
                continue
            effect = _effect(run, known, entry, index)
            backend = effect.backend if effect.backend in timed else ""
            key = (effect.variant, effect.after, step, effect.batch, backend, _environment(run, entry))
            found.setdefault(key, effect)
    told = {key[:4] for key in found if key[4]}
    kept = [effect for key, effect in found.items() if key[4] or key[:4] not in told]
    return tuple(sorted(kept, key=lambda effect: (effect.variant, effect.batch, not effect.is_pass)))


def _varies(case: Case) -> bool:
    """Whether it is `all` less a pass or in another order: the pass table says what came of those, its hundreds of steps do not."""
    return any(word.startswith((f"{ALL}-", f"{ALL}@")) for word in case.passes)


def _environment(run: Run, entry: Entry) -> str:
    return entry.record.environment.key if entry.timing else run.environments[0].key


def _effect(run: Run, known: dict[tuple[Case, str], Entry], entry: Entry, index: int) -> Effect:
    case, key = entry.case, entry.record.environment.key
    names = tuple(step.name for step in entry.record.steps)
    # A pipeline such as `all` has more steps than words, and no pair for those inside it.
    is_pass = names[index] != case.precision
    with_it = (names[: index + 1], PLAIN) if is_pass else (case.passes, case.precision)
    without = (names[:index] if is_pass else case.passes, PLAIN)
    pair = [known.get((Case(case.variant, p, kind, case.batch, case.backend), key)) for p, kind in (with_it, without)]
    after, before = pair
    gained = step_gain(after, before) if after and before else None
    pairs = min(e.timing.pairs for e in pair if e and e.timing) if gained else 0
    noise = run.noise_at(entry.place)
    step, backend = entry.record.steps[index], case.backend
    return Effect(case.variant, names[:index], step, case.batch, backend, is_pass, gained, pairs, noise)


def _blocks(run: Run) -> tuple[Block, ...]:
    found = effects(run)
    if not found:
        return ()
    how = Prose(
        "A pass is judged in fp32, a precision against fp32 with the same passes. Initializer bytes count "
        "initializers and Constant nodes; counts include sub-graph bodies."
    )
    table = Table(_columns(), tuple(_row(effect) for effect in found), search=len(found) > 12)
    return how, table.without_constant("variant", "backend")


def _columns() -> tuple[Column, ...]:
    return (
        Column("variant", filter=True),
        Column("step", filter=True),
        Column("after", filter=True),
        Column("batch", "", "number", filter=True),
        Column("backend", filter=True),
        Column("rewrites", "", "number", hint="what the step itself says that it changed"),
        Column("nodes", "before → after", "number", hint="sorts by the change"),
        Column("tensors", "before → after", "number", hint="sorts by the change"),
        Column("initializers", "MB, before → after", "number", hint="sorts by the change"),
        Column("speedup of the step", "", "number"),
        Column("95 % interval", "", "number"),
        Column("from 1", kind="bar"),
        Column("finding"),
        Column("library version"),
    )


def _row(effect: Effect) -> tuple[Cell, ...]:
    step, before, after = effect.step, effect.step.before, effect.step.after
    return (
        Cell(effect.variant),
        Cell(step.name, hint=step.label),
        Cell("+".join(effect.after) or "export"),
        Cell(str(effect.batch), effect.batch),
        Cell(effect.backend),
        number(step.rewrites, 0) if step.rewrites else Cell("no effect", 0, tone="muted"),
        _change(before.nodes, after.nodes),
        _change(before.tensors, after.tensors),
        _change(before.parameter_bytes, after.parameter_bytes, megabytes=True),
        *_gain_cells(effect),
        Cell(step.version or "–"),
    )


def _change(before: int, after: int, megabytes: bool = False) -> Cell:
    shown = (f"{size / 1e6:,.3f}" if megabytes else f"{size:,}" for size in (before, after))
    unit = " bytes" if megabytes else ""
    return Cell(" → ".join(shown), after - before, "" if after != before else "muted", f"{after - before:+,}{unit}")


def _gain_cells(effect: Effect) -> tuple[Cell, Cell, Cell, Cell]:
    if effect.gain is None:
        return (
            MISSING,
            MISSING,
            MISSING,
            Cell("no pair timed", tone="muted", hint="not timed both with and without this step"),
        )
    said = claim(effect.gain, effect.pairs, effect.noise)
    return (
        Cell(times(effect.gain.value), effect.gain.value),
        Cell(range_times(effect.gain), effect.gain.half_width),
        ratio_bar(effect.gain),
        said.word,
    )


passes = Section(40, "Passes", _blocks, "No record holds a graph pass or a precision step.")
