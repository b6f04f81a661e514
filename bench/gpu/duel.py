"""Two cases of any backend taking turns, as a case and its baseline do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from bench.backend import Backend
from bench.measure.protocol import Call, Protocol, measure
from bench.measure.quiet import quiet
from bench.phases import Phases
from bench.session import Session
from common.discover import discover
from reports.case import Case
from reports.record import Measured, Record

DUELS = "duels.jsonl"


def duel(session: Session, one: Case, other: Case) -> Record:
    """The record of `one` with `other` as its baseline; both have been checked."""
    pipeline, phases = session.pipeline, Phases()
    started = datetime.now(UTC).isoformat(timespec="milliseconds")
    with quiet(pipeline.preset.threads):
        samples = measure((_load(session, one), _load(session, other)), Protocol(cap_s=pipeline.preset.cap_s), phases)
    outcome = Measured(samples.candidate, other.id, samples.baseline, samples.notes, samples.loads)
    return Record(pipeline.run_id, one, outcome, started, pipeline.environment, phases=phases.done)


def _load(session: Session, case: Case) -> Callable[[], Call]:
    pipeline = session.pipeline
    options, feeds = pipeline._options(case), pipeline._timed_inputs(case)
    graph = pipeline.artefacts.transformed(case, Phases())
    plan = pipeline.artefacts.plan(case, graph.graph, options, Phases())
    backend = discover("bench.backends", Backend)[case.backend].value
    return lambda: backend.load(plan.path, options).bind(feeds)
