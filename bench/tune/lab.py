"""Where a search touches graphs, backends and clocks: everything it asks is answered once and written down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import onnx

from bench.artefacts import Artefacts
from bench.backend import Backend, BuildOptions
from bench.measure.protocol import Call, Protocol, measure
from bench.measure.quiet import quiet
from bench.phases import Phases
from bench.precisions import refusal
from bench.session import RECORDS, Session
from bench.tune.notebook import Notebook
from bench.tune.probe import Half, Probe, probe
from bench.tune.program import program
from common.discover import discover
from common.errors import UserError
from reports.case import Case
from reports.journal import load
from reports.record import Failed, Record
from reports.statistics import Estimate, speedup
from variants.lowering.keep import named

Profile = list[tuple[str, float]]


@contextmanager
def told() -> Iterator[None]:
    """Turn a library's own error, of a graph that it cannot take, into one sentence: the candidate falls out, the search goes on."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}") from error


@dataclass(slots=True)
class Lab:
    """One run's folder and cache. Every answer is the one of an earlier, interrupted search of the same folder where there is one."""

    session: Session
    notebook: Notebook
    _records: dict[Case, Record] = field(default_factory=dict)

    def __post_init__(self) -> None:
        path = self.session.folder / RECORDS
        key = self.session.pipeline.environment.key
        for record in load(path).records if path.exists() else ():
            if record.environment.key == key and not isinstance(record.outcome, Failed):
                self._records[record.case] = record

    def graph(self, case: Case) -> onnx.ModelProto:
        """The graph of a case, every node with a name to itself. Raises UserError where there is none."""
        with told():
            return named(onnx.load(self._artefacts.transformed(case, Phases()).graph.path))

    def probe(self, case: Case, half: Half = "choosing") -> Probe:
        """Its accuracy on one half of the test split, untimed."""
        if why := self._refused(case):
            return Probe(None, why)
        return self.notebook.remember("probe", f"{case.id} {half}", lambda: probe(case, half, self._artefacts, self._options(case)), Probe)

    def profile(self, case: Case) -> Profile:
        """(node, microseconds) of the layers of its plan; empty where it has none."""
        return self.notebook.remember("profile", case.id, lambda: self._profile(case), Profile)

    def known(self, case: Case) -> bool:
        """Whether `record` answers without measuring."""
        return case in self._records

    def record(self, case: Case) -> Record:
        """The case through the whole pipeline, timed against the raw export."""
        if case not in self._records:
            self._records[case] = self.session.run(case)
        return self._records[case]

    def program(self, case: Case) -> str:
        """What is executed, by digest: two cases of one program need timing once. Raises UserError where there is none."""

        def find_out() -> str:
            if why := self._refused(case):
                raise UserError(why)
            graph = self._artefacts.transformed(case, Phases())
            plan = self._artefacts.plan(case, graph.graph, self._options(case), Phases())
            if plan.info.rejection:
                raise UserError(plan.info.rejection)
            return program(plan.path)

        with told():
            return self.notebook.remember("program", case.id, find_out, str)

    def idle(self, case: Case) -> frozenset[str]:
        """The passes of its pipeline that rewrite nothing there; none where the pipeline cannot be run."""
        try:
            return frozenset(step.name for step in self._artefacts.transformed(case, Phases()).steps if not step.rewrites)
        except UserError:
            return frozenset()

    def duel(self, one: Case, other: Case) -> Estimate:
        """How many times faster `one` is than `other`, the two taking turns."""
        return self.notebook.remember("duel", f"{one.id} against {other.id}", lambda: self._duel(one, other), Estimate)

    @property
    def _artefacts(self) -> Artefacts:
        return self.session.pipeline.artefacts

    def _refused(self, case: Case) -> str:
        backend = discover("bench.backends", Backend)[case.backend].value
        return refusal(case.precision, backend, self.session.pipeline.preset.compute_capability)

    def _options(self, case: Case) -> BuildOptions:
        return self.session.pipeline._options(case)

    def _plan(self, case: Case) -> Callable[[], Call]:
        graph = self._artefacts.transformed(case, Phases())
        options, feeds = self._options(case), self.session.pipeline._timed_inputs(case)
        plan = self._artefacts.plan(case, graph.graph, options, Phases())
        backend = discover("bench.backends", Backend)[case.backend].value
        return lambda: backend.load(plan.path, options).bind(feeds)

    def _duel(self, one: Case, other: Case) -> Estimate:
        preset = self.session.pipeline.preset
        with quiet(preset.threads):
            samples = measure((self._plan(one), self._plan(other)), Protocol(cap_s=2 * preset.cap_s), Phases())
        return speedup(samples.candidate, samples.baseline, samples.loads)

    def _profile(self, case: Case) -> Profile:
        graph = self._artefacts.transformed(case, Phases())
        options = self._options(case)
        try:
            plan = self._artefacts.plan(case, graph.graph, options, Phases())
            backend = discover("bench.backends", Backend)[case.backend].value
            with quiet(options.threads):
                layers = backend.profile(plan.path, self.session.pipeline._timed_inputs(case), options)
        except UserError:
            return []
        return [(next(iter(layer.nodes), layer.name), layer.median_us or layer.mean_us or 0.0) for layer in layers]
