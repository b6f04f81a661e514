"""The pass table: what each graph pass is worth alone and inside the whole pipeline, and which pass needs which.

A table of raw and hand-optimised graphs under each cleaner stands in the write-up on WeNet that this follows; here the
hand-optimised graph is the pipeline `all`, and every number has its interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reports.case import ONNX
from reports.record import GraphSize, ModelFacts, Step
from reports.run import PLAIN, Entry, Run, step_gain
from reports.statistics import Estimate

ALL = "all"
CLEANERS = ("fold", "onnxoptimizer", "onnxslim", "onnxsim")
"""What a library does as a whole; the order of the table's rows."""


@dataclass(frozen=True, slots=True)
class Graph:
    """One row of the first table: a graph under a cleaner ("" for none), `whole` where the pipeline `all` came before it."""

    whole: bool
    cleaner: str
    entry: Entry

    @property
    def facts(self) -> ModelFacts | None:
        """What the graph holds and moves as it was built."""
        return self.entry.record.result


@dataclass(frozen=True, slots=True)
class Worth:
    """One pass: its step alone on the raw export and inside `all`, and the speedups of both.

    `alone` is against the raw export; `inside` is `all` against `all` without it: above 1, it is worth having.
    `needs` are the passes without which it rewrites less inside `all`, `feeds` those that rewrite less without it.
    A step is None where no such case was recorded.
    """

    name: str
    alone_step: Step | None
    inside_step: Step | None
    alone: Estimate | None
    inside: Estimate | None
    pairs: int
    needs: tuple[str, ...]
    feeds: tuple[str, ...]
    dropped: Entry | None


@dataclass(frozen=True, slots=True)
class Order:
    """One order of `all`: how it is written, the passes that rewrote anything in it, and what came out."""

    written: str
    effective: tuple[str, ...]
    entry: Entry


@dataclass(frozen=True, slots=True)
class PassTable:
    """The three tables of one place; `whole` is the case of `all`."""

    place: tuple[str, ...]
    whole: Entry
    graphs: tuple[Graph, ...]
    worths: tuple[Worth, ...]
    orders: tuple[Order, ...]
    noise: float | None


def steps(entry: Entry) -> tuple[Step, ...]:
    """The graph passes of a case, without the precision, which comes last."""
    return tuple(step for step in entry.record.steps if step.name != entry.case.precision)


def pass_tables(run: Run) -> Iterator[PassTable]:
    """One for every place in which `all` was recorded in fp32."""
    for place, entries in run.places().items():
        known = {e.case.passes: e for e in entries if e.case.precision == PLAIN and e.case.source == ONNX}
        whole = known.get((ALL,))
        if whole is not None and whole.record.steps:
            yield PassTable(
                run.place_names(place), whole, _graphs(known), _worths(known, whole), _orders(known, whole), run.noise_at(place)
            )


def _graphs(known: dict[tuple[str, ...], Entry]) -> tuple[Graph, ...]:
    wanted = [(whole, cleaner) for whole in (False, True) for cleaner in ("", *CLEANERS)]
    found = ((w, c, known.get((*((ALL,) if w else ()), *((c,) if c else ())))) for w, c in wanted)
    return tuple(Graph(whole, cleaner, entry) for whole, cleaner, entry in found if entry)


def _worths(known: dict[tuple[str, ...], Entry], whole: Entry) -> tuple[Worth, ...]:
    names = [step.name for step in steps(whole)]
    dropped = {name: known.get((f"{ALL}-{name}",)) for name in names}
    needs = {name: tuple(other for other in names if _fewer(dropped[other], whole, name)) for name in names}
    return tuple(_worth(name, known, whole, dropped[name], needs) for name in names)


def _worth(name: str, known: dict[tuple[str, ...], Entry], whole: Entry, dropped: Entry | None, needs: dict[str, tuple[str, ...]]) -> Worth:
    alone = known.get((name,))
    inside = step_gain(whole, dropped) if dropped else None
    pairs = [entry.timing.pairs for entry in (alone, whole, dropped) if entry and entry.timing]
    return Worth(
        name=name,
        alone_step=_step(alone, name),
        inside_step=_step(whole, name),
        alone=alone.timing.speedup if alone and alone.timing else None,
        inside=inside,
        pairs=min(pairs, default=0),
        needs=needs[name],
        feeds=tuple(other for other, wanted in needs.items() if name in wanted),
        dropped=dropped,
    )


def _step(entry: Entry | None, name: str) -> Step | None:
    return next((step for step in steps(entry) if step.name == name), None) if entry else None


def _fewer(dropped: Entry | None, whole: Entry, name: str) -> bool:
    without, within = _step(dropped, name), _step(whole, name)
    return without is not None and within is not None and without.rewrites < within.rewrites


def _orders(known: dict[tuple[str, ...], Entry], whole: Entry) -> tuple[Order, ...]:
    tried = [whole, *(entry for passes, entry in known.items() if len(passes) == 1 and passes[0].startswith(f"{ALL}@"))]
    return tuple(Order(e.case.pipeline, tuple(step.name for step in steps(e) if step.rewrites), e) for e in tried)


def sizes(entry: Entry) -> GraphSize | None:
    """Nodes, tensors and bytes of the graph as it was built."""
    return entry.record.result.size if entry.record.result else None


def told(worths: Sequence[Worth]) -> list[Worth]:
    """Those that rewrote something, alone or inside; the others said "no effect" on this model."""
    return [w for w in worths if any(step is not None and step.rewrites for step in (w.alone_step, w.inside_step))]
