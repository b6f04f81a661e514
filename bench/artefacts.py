"""The cached stages from a variant to a plan: export, passes, calibration, precision, build, and the reference outputs."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
import onnx

import variants
from bench.backend import Backend, BuildInfo, BuildOptions
from bench.cache import Artefact, Cache, copy, file_digest, library, sources
from bench.export_check import refuse_difference
from bench.graph_size import graph_size
from bench.model_facts import model_facts
from bench.pass_check import PassCheck
from bench.passes import expand, find, fitted, kernels
from bench.phases import Phases
from bench.precisions import base_name
from bench.precisions import find as find_precision
from common.discover import Declared, discover
from common.errors import UserError
from reports import layers
from reports.case import API, Case
from reports.record import GraphSize, ModelFacts, Step
from variants.api_network import write
from variants.checkpoint import files, given, replaced
from variants.explain import listening
from variants.export import export, reference
from variants.find import find as find_variant
from variants.fingerprint import fingerprint
from variants.graph_pass import GraphPass, Setting
from variants.heavy import save
from variants.lowering.calibration import Ranges
from variants.precision import Precision, carries
from variants.shapes import described, timed
from variants.variant import Array, Ready, Sizes, Variant

VARIANTS = Path(variants.__file__).parent
REPORTS_LAYERS = Path(layers.__file__).parent
BACKENDS = Path(__file__).parent / "backends"
T = TypeVar("T")


class StepInfo(msgspec.Struct, frozen=True):
    """What a step made of the graph."""

    before: GraphSize
    after: GraphSize
    rewrites: int = 0
    parameters: int = 0
    declined: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Transformed:
    """A case's graph after all its steps, and the digests of what came of each stage."""

    graph: Artefact[StepInfo]
    steps: tuple[Step, ...]
    digests: tuple[tuple[str, str], ...]
    model: ModelFacts | None
    result: ModelFacts | None = None


@dataclass(slots=True)
class Artefacts:
    """Every method enters its phases and answers from the cache where it can."""

    cache: Cache
    checkpoints: Mapping[str, Path] = field(default_factory=dict)

    def variant(self, name: str) -> Declared[Variant]:
        """The variant of a case, with the weights that the user gave for it."""
        return replaced(find_variant(name), self.checkpoints)

    def transformed(self, case: Case, phases: Phases) -> Transformed:
        """Export, each pass in order, then the precision; for the network API the weights in that precision, without steps."""
        variant = self.variant(case.variant)
        if case.source == API:
            graph = self._layered(variant, case, phases)
            return Transformed(graph, (), (("weights", graph.sha256),), None)
        graph = self._export(variant, case.batch, phases)
        model = self._facts(graph, timed(variant.value, case.batch))
        setting = Setting(timed(variant.value, case.batch), variant.value.ranges, variant.value.outputs)
        steps, digests = [], [*self._weights(variant.name), ("export", graph.sha256)]
        check = PassCheck(variant.value)
        for name in expand(case.passes):
            declared = fitted(find(name), setting)
            graph = self._pass(declared, graph, check, phases)
            steps.append(_step(declared, graph, declared.value.distribution))
        precision = find_precision(case.precision)
        ranges, calibration = self._ranges(precision, variant, graph, case.passes, phases)
        graph = self._precision(precision, graph, ranges, calibration, phases)
        steps.append(_step(precision, graph, precision.value.distribution))
        digests += [("calibration", calibration)] if calibration else []
        result = self._facts(graph, timed(variant.value, case.batch))
        return Transformed(graph, tuple(steps), (*digests, ("graph", graph.sha256)), model, result)

    def plan(self, case: Case, graph: Artefact[StepInfo], options: BuildOptions, phases: Phases) -> Artefact[BuildInfo]:
        """Built by the case's backend; its identity is the graph and its kernels, the backend's versions and flags, and the batch."""
        declared = discover("bench.backends", Backend)[case.backend]
        identity = [f"{name}={value}" for name, value in declared.value.identity(options)]
        placed = [placing.digest for placing in kernels(case.passes)]
        written = [sources(VARIANTS), sources(VARIANTS / "api")] if case.source == API else []
        key = [graph.sha256, declared.name, declared.digest, sources(BACKENDS, "_*.py"), *identity, *placed, *written]

        def make(file: Path) -> BuildInfo:
            info: BuildInfo = declared.value.build(graph.path, file, options)
            return info

        with phases("build"):
            plan = self.cache.artefact("build", key, make, BuildInfo)
        return _seen(plan, phases, "build")

    def reference(self, case: Case, phases: Phases) -> dict[str, Array]:
        """The PyTorch FP32 outputs on the test split, by name."""
        variant = self.variant(case.variant)

        def make(file: Path) -> int:
            outputs = reference(variant.value)
            with file.open("wb") as stream:
                np.savez(stream, **outputs)  # type: ignore[arg-type]
            return len(outputs)

        with phases("reference"):
            stored = self.cache.artefact("reference", self._model_key(variant), make, int)
        _seen(stored, phases, "reference")
        with np.load(stored.path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in variant.value.outputs}

    def _model_key(self, variant: Declared[Variant]) -> list[str]:
        value = variant.value
        try:
            files = [file_digest(file) for file in value.files]
        except OSError as error:
            raise UserError(f"{error.filename}: variant '{variant.name}' needs this file; restore it with git checkout") from error
        libraries = [library(name) for name in ("torch", *value.distributions)]
        return [variant.name, variant.digest, sources(VARIANTS), *libraries, str(value.opset), *files]

    def _layered(self, variant: Declared[Variant], case: Case, phases: Phases) -> Artefact[StepInfo]:
        """The weights and what they are for; one for all batches unless every dimension is fixed."""
        fixed = [] if variant.value.dynamic else [f"static, batch {case.batch}"]

        def make(file: Path) -> StepInfo:
            size = GraphSize(0, *write(variant.value, variant.name, file, case.precision, case.batch))
            return StepInfo(size, size)

        key = [*self._model_key(variant), sources(VARIANTS / "api"), case.precision, *fixed]
        return self._stage(phases, "weights", key, make)

    def _export(self, variant: Declared[Variant], batch: int, phases: Phases) -> Artefact[StepInfo]:
        """The export, checked against PyTorch when it is made; one for all batches unless every dimension is fixed."""
        fixed = [] if variant.value.dynamic else [f"static, batch {batch}"]

        def taken(file: Path, ready: Ready) -> StepInfo:
            ready.write(file)
            size = graph_size(onnx.load(file))
            return StepInfo(size, size, parameters=ready.parameters)

        def make(file: Path) -> StepInfo:
            if variant.value.ready is not None:
                return taken(file, variant.value.ready)
            module = export(variant.value, file, batch)
            refuse_difference(variant.value, module, file, batch)
            model = onnx.load(file)
            onnx.checker.check_model(str(file))
            size = graph_size(model)
            return StepInfo(size, size, parameters=sum(p.numel() for p in module.parameters()))

        return self._stage(phases, "export", [*self._model_key(variant), *fixed], make)

    def _weights(self, variant: str) -> list[tuple[str, str]]:
        path = given(variant, self.checkpoints)
        digests = "".join(file_digest(file) for file in files(path)) if path else ""
        return [("checkpoint", hashlib.sha256(digests.encode()).hexdigest())] if path else []

    def _facts(self, graph: Artefact[StepInfo], sizes: Sizes) -> ModelFacts:
        def make(file: Path) -> ModelFacts:
            file.touch()
            return model_facts(graph.path, graph.info.after, graph.info.parameters, sizes)

        return self.cache.artefact("facts", [graph.sha256, described(sizes), sources(REPORTS_LAYERS)], make, ModelFacts).info

    def _pass(self, declared: Declared[GraphPass], graph: Artefact[StepInfo], check: PassCheck, phases: Phases) -> Artefact[StepInfo]:
        key = [graph.sha256, declared.name, declared.digest, *_shared(), library(declared.value.distribution or "onnx")]

        def make(file: Path) -> StepInfo:
            model = onnx.load(graph.path)
            before = graph_size(model)
            with listening() as declined:
                changed, rewrites = declared.value.run(model)
            if changed is model and not rewrites:
                copy(graph.path, file)
                return StepInfo(before, before, rewrites, declined=tuple(declined))
            after = graph_size(changed)
            save(changed, file)
            del model, changed
            gc.collect()  # a GraphSurgeon graph is a cycle that holds the whole model
            if unchecked := check.refuse_broken(declared, graph.path, file):
                declined.append(f"check: {unchecked}")
            return StepInfo(before, after, rewrites, declined=tuple(declined))

        made = self._stage(phases, f"pass {declared.name}", key, make, "pass")
        check.follow(made.path, made.cached)
        return made

    def _ranges(
        self, precision: Declared[Precision], variant: Declared[Variant], graph: Artefact[StepInfo], passes: Sequence[str], phases: Phases
    ) -> tuple[Ranges, str]:
        """Made once for all batches: what a fixed batch alone changes in a graph (its sizes) is no part of the key."""
        calibrate = precision.value.calibrate
        if calibrate is None:
            return (), ""
        inputs = variant.value.inputs("calibration")
        data = hashlib.sha256(b"".join(name.encode() + array.tobytes() for name, array in inputs.items())).hexdigest()
        base = find_precision(base_name(precision.name))
        held = self.cache.artefact("fingerprint", [graph.sha256, sources(VARIANTS)], lambda file: _fingerprint(graph.path, file), str).info
        graphs = [held, variant.name, *expand(passes)]
        key = [*graphs, base.name, base.digest, data, *_shared(), library("onnxruntime")]

        def make(file: Path) -> Ranges:
            ranges = calibrate(onnx.load(graph.path), inputs)
            file.write_bytes(msgspec.json.encode(ranges))
            return ranges

        with phases("calibration"):
            stored = self.cache.artefact("calibration", key, make, Ranges)
        _seen(stored, phases, "calibration")
        return stored.info, stored.sha256

    def _precision(
        self, declared: Declared[Precision], graph: Artefact[StepInfo], ranges: Ranges, calibration: str, phases: Phases
    ) -> Artefact[StepInfo]:
        key = [graph.sha256, declared.name, declared.digest, calibration, *_shared(), library(declared.value.distribution or "onnx")]

        def make(file: Path) -> StepInfo:
            model = onnx.load(graph.path)
            changed = declared.value.apply(model, ranges)
            if not carries(changed, declared.value.dtype):
                dtype = onnx.TensorProto.DataType.Name(declared.value.dtype)
                raise UserError(
                    f"precision {declared.name}: the graph carries no {dtype} tensor, so it would be measured under a false name"
                )
            before, after = graph_size(model), graph_size(changed)
            save(changed, file)
            onnx.checker.check_model(str(file))
            return StepInfo(before, after, abs(after.nodes - before.nodes))

        return self._stage(phases, f"precision {declared.name}", key, make, "precision")

    def _stage(self, phases: Phases, name: str, key: list[str], make: Callable[[Path], StepInfo], stage: str = "") -> Artefact[StepInfo]:
        with phases(name):
            artefact = self.cache.artefact(stage or name, key, make, StepInfo)
        return _seen(artefact, phases, name)


def _shared() -> list[str]:
    """The code that passes and precisions are made of, beside their own files."""
    return [sources(VARIANTS / room) for room in ("", "lowering", "matching", "rewriting", "symbolic")]


def _seen(artefact: Artefact[T], phases: Phases, name: str) -> Artefact[T]:
    if artefact.cached:
        phases.cached(name)
    return artefact


def _fingerprint(graph: Path, file: Path) -> str:
    file.touch()
    return fingerprint(onnx.load(graph))


def _step(declared: Declared[GraphPass] | Declared[Precision], graph: Artefact[StepInfo], distribution: str) -> Step:
    info = graph.info
    return Step(
        declared.name, declared.label, info.rewrites, info.before, info.after, library(distribution) if distribution else "", info.declined
    )
