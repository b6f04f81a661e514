"""Accuracy alone, of a case on one half of the test split, without leaving its graph or plan in the cache."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np

from bench import check
from bench.artefacts import Artefacts
from bench.backend import Backend, BuildOptions
from bench.cache import Artefact, Cache
from bench.phases import Phases
from common.discover import discover
from common.errors import UserError
from reports.accuracy import Accuracy, output_error
from reports.case import Case
from variants.variant import Array, Tensors, Variant

Half: TypeAlias = Literal["choosing", "held out"]
"""Every second input of the test split chooses; the others are asked only at the end, how well the choice does on what it never saw."""
PASSING = ("precision", "build")
"""Stages whose artefacts a probe throws away: hundreds of graphs are tried, and few are timed."""


class Probe(msgspec.Struct, frozen=True):
    """The accuracy of a case on one half; None where it could not be tried, `reason` says why."""

    accuracy: Accuracy | None
    reason: str = ""


@dataclass(slots=True)
class PassingCache(Cache):
    """The cache, but what belongs to PASSING is made in the folder `passing`, which its owner empties."""

    passing: Path = field(default_factory=Path)

    def artefact(self, stage: str, key: Any, make: Callable[[Path], Any], kind: type[Any]) -> Artefact[Any]:
        """See Cache."""
        home = Cache(self.passing) if stage in PASSING else Cache(self.root, self.made, self.reused, self.warnings)
        return home.artefact(stage, key, make, kind)


def probe(case: Case, half: Half, artefacts: Artefacts, options: BuildOptions) -> Probe:
    """Transform, build, run and compare; what cannot be done is a reason, not an error."""
    variant = artefacts.variant(case.variant).value
    backend = discover("bench.backends", Backend)[case.backend].value
    reference = artefacts.reference(case, Phases())
    with tempfile.TemporaryDirectory(prefix="trtbench-tune-") as folder:
        passing = PassingCache(artefacts.cache.root, passing=Path(folder))
        try:
            own = Artefacts(passing, artefacts.checkpoints)
            graph = own.transformed(case, Phases())
            plan = own.plan(case, graph.graph, options, Phases())
            if plan.info.rejection:
                return Probe(None, plan.info.rejection)
            runner = backend.load(plan.path, options)
            rows = rows_of(half, len(reference[variant.outputs[0]]))
            inputs = {name: array[rows] for name, array in variant.inputs("test").items()}
            actual = check.outputs(runner, inputs, case.batch, variant.batched)
            return Probe(accuracy(actual, rows, variant, reference))
        except UserError as error:
            return Probe(None, str(error))
        except Exception as error:  # a library's own, of a graph that it cannot take: the candidate falls out, the search goes on
            return Probe(None, f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}")


def rows_of(half: Half, count: int) -> Array:
    """The positions of a half in a split of `count` inputs; all of them where there are fewer than two."""
    return np.arange(count) if count < 2 else np.arange(0 if half == "choosing" else 1, count, 2)


def accuracy(actual: Tensors, rows: Array, variant: Variant, reference: Mapping[str, Array]) -> Accuracy:
    """Errors of the half alone; what the task counts over the whole split is counted with the reference's outputs elsewhere.

    A share lost on the half is then the share lost on this mixture times whole over half: exact where a task counts inputs one
    by one, near enough to choose by where it does not.
    """
    count = len(reference[variant.outputs[0]])
    mixed = {name: np.array(reference[name]) for name in variant.outputs}
    for name in variant.outputs:
        if name not in actual or actual[name].shape != mixed[name][rows].shape:
            raise UserError(f"output '{name}' is missing or has another shape: a pass or the backend changed it")
        mixed[name][rows] = actual[name]
    scale = count / len(rows)
    perfect = variant.score(reference) if variant.score else None
    floating = [name for name in variant.outputs if np.issubdtype(reference[name].dtype, np.floating)]
    return Accuracy(
        inputs=len(rows),
        outputs=tuple(output_error(name, actual[name], reference[name][rows]) for name in floating),
        agreement=1 - (1 - variant.agreement(mixed, reference)) * scale,
        metric=variant.metric,
        score=None if variant.score is None or perfect is None else perfect + (variant.score(mixed) - perfect) * scale,
        reference_score=perfect,
        measures=tuple((name, 1 - (1 - measure(mixed, reference)) * scale) for name, measure in variant.measures.items()),
    )
