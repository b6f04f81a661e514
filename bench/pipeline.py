"""Case -> Record: the whole flow on one screen."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bench import check
from bench.artefacts import Artefacts
from bench.backend import Backend, BuildOptions, Runner
from bench.matrix import Preset, baseline_of, why_not_from
from bench.measure.protocol import Call, Protocol, measure
from bench.measure.quiet import quiet
from bench.passes import refusal
from bench.phases import Phases
from bench.precisions import find as find_precision
from bench.precisions import refusal as precision_refusal
from common.discover import discover
from common.errors import Unsupported, UserError
from reports import record as r
from reports.accuracy import Accuracy
from reports.case import Case
from reports.layers.layer import Layer
from variants.variant import Tensors, Variant


@dataclass(slots=True)
class Pipeline:
    """What all cases of one run share. `log` takes the traceback of an error that nobody foresaw."""

    run_id: str
    environment: r.Environment
    artefacts: Artefacts
    preset: Preset
    show: Callable[[str], None] = lambda phase: None
    log: Callable[[str], None] = lambda text: None
    _verified: dict[Case, str] = field(default_factory=dict)

    def run(self, case: Case) -> r.Record:
        """Run one case to its end, whatever that is; only KeyboardInterrupt and SystemExit pass through."""
        progress = _Progress(Phases(self.show))
        started = datetime.now(UTC).isoformat(timespec="milliseconds")
        try:
            outcome = self._outcome(case, progress)
        except Unsupported as error:
            outcome = r.Unsupported(str(error))
        except UserError as error:
            outcome = r.Failed(progress.phases.current, str(error))
        except Exception as error:
            self.log(f"{case.id}, {progress.phases.current}\n{traceback.format_exc()}")
            outcome = r.Failed(progress.phases.current, _sentence(error))
        return r.Record(
            run=self.run_id,
            case=case,
            outcome=outcome,
            started=started,
            environment=self.environment,
            steps=progress.steps,
            phases=progress.phases.done,
            digests=progress.digests,
            build=progress.build,
            accuracy=progress.accuracy,
            layers=progress.layers,
            model=progress.model,
            result=progress.result,
        )

    def _outcome(self, case: Case, progress: _Progress) -> r.Outcome:
        backend = discover("bench.backends", Backend)[case.backend].value
        variant = self.artefacts.variant(case.variant).value
        refused = refusal(case.passes, backend) or precision_refusal(case.precision, backend, self.preset.compute_capability)
        if reason := backend.unavailable() or refused or why_not_from(case) or variant.why_not(case.batch):
            return r.Unsupported(reason)
        options = self._options(case)
        graph = self.artefacts.transformed(case, progress.phases)
        progress.steps, progress.digests, progress.model, progress.result = graph.steps, graph.digests, graph.model, graph.result
        plan = self.artefacts.plan(case, graph.graph, options, progress.phases)
        if plan.info.rejection:
            return r.Rejected(plan.info.target, plan.info.rejection)
        progress.digests += (("plan", plan.sha256),)
        progress.build = r.Build(plan.info.seconds, plan.path.stat().st_size, plan.info.warnings)
        if why := backend.why_not_run():
            return r.Built(plan.info.target, why)
        runner = backend.load(plan.path, options)
        progress.accuracy, violation = self._check(case, runner, progress.phases)
        if violation:
            return r.Inaccurate(violation)
        del runner
        outcome = self._measure(case, backend, plan.path, progress.phases)
        with progress.phases("profile"), quiet(options.threads):
            progress.layers = backend.profile(plan.path, self._timed_inputs(case), options)
        return outcome

    def _check(self, case: Case, runner: Runner, phases: Phases) -> tuple[Accuracy, str]:
        variant = self.artefacts.variant(case.variant).value
        reference = self.artefacts.reference(case, phases)
        with phases("check"):
            actual = check.outputs(runner, variant.inputs("test"), case.batch, variant.batched)
            found = check.accuracy(actual, variant, reference)
        precision = find_precision(case.precision).value
        self._verified[case] = check.tolerance(precision).violation(found) or ""
        return found, self._verified[case]

    def _measure(self, case: Case, backend: Backend, plan: Path, phases: Phases) -> r.Measured:
        options, feeds = self._options(case), self._timed_inputs(case)
        baseline = baseline_of(case)
        other = plan if case == baseline else self._baseline_plan(baseline)

        def loader(path: Path) -> Callable[[], Call]:
            return lambda: backend.load(path, options).bind(feeds)

        with quiet(options.threads):
            samples = measure((loader(plan), loader(other)), Protocol(cap_s=self.preset.cap_s), phases)
        return r.Measured(samples.candidate, baseline.id, samples.baseline, samples.notes, samples.loads)

    def _baseline_plan(self, case: Case) -> Path:
        """The baseline's plan, its outputs checked once a run: nothing wrong is ever timed."""
        quietly, options = Phases(), self._options(case)
        plan = self.artefacts.plan(case, self.artefacts.transformed(case, quietly).graph, options, quietly)
        if plan.info.rejection:
            raise UserError(f"the baseline {case.id} was rejected: {plan.info.rejection}")
        if case not in self._verified:
            backend = discover("bench.backends", Backend)[case.backend].value
            self._check(case, backend.load(plan.path, options), quietly)
        if self._verified[case]:
            raise UserError(f"the baseline {case.id} is inaccurate: {self._verified[case]}")
        return plan.path

    def _options(self, case: Case) -> BuildOptions:
        preset = self.preset
        variant, inputs = self.artefacts.variant(case.variant).value, self._timed_inputs(case)
        shapes = tuple((name, array.shape) for name, array in inputs.items())
        bounds = tuple((name, *_bounds(variant, name, shape)) for name, shape in shapes)
        flags = find_precision(case.precision).value.flags
        return BuildOptions(shapes, preset.threads, preset.compute_capability, preset.build_limit_s, bounds, case.source, flags)

    def _timed_inputs(self, case: Case) -> Tensors:
        variant = self.artefacts.variant(case.variant).value
        return check.batches(variant.inputs("test"), case.batch, variant.batched)[0]


@dataclass(slots=True)
class _Progress:
    """How far a case came: what its record can say even when it fails."""

    phases: Phases
    steps: tuple[r.Step, ...] = ()
    digests: tuple[tuple[str, str], ...] = ()
    build: r.Build | None = None
    accuracy: Accuracy | None = None
    layers: tuple[Layer, ...] = ()
    model: r.ModelFacts | None = None
    result: r.ModelFacts | None = None


def _bounds(variant: Variant, name: str, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The smallest and largest shape of an input; its batch, and all of a static model's dimensions, are fixed."""
    named = variant.axes.get(name, {}) if variant.dynamic else {}
    ranges = [variant.ranges[named[axis]] if axis in named else (size, size, size) for axis, size in enumerate(shape)]
    return tuple(low for low, _, _ in ranges), tuple(high for _, _, high in ranges)


def _sentence(error: Exception) -> str:
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {text} (traceback in errors.log beside the records)"
