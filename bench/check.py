"""Correctness before the clock: a case's outputs on the whole test split against the PyTorch FP32 reference."""

from __future__ import annotations

import numpy as np

from bench.backend import Runner
from common.errors import UserError
from reports.accuracy import Accuracy, Tolerance, output_error
from variants.precision import Precision
from variants.variant import Array, Tensors, Variant


def batches(inputs: Tensors, batch: int, batched: bool = True) -> list[Tensors]:
    """The inputs [n, ...] in pieces of exactly `batch`; the last one is filled up with the first inputs again.

    Where axis 0 is no batch but numbers the runs, each run's inputs without it.
    """
    count = len(next(iter(inputs.values())))
    if not batched:
        return [{name: np.asarray(array[row]) for name, array in inputs.items()} for row in range(count)]
    rows = np.arange(-(-count // batch) * batch) % count
    return [{name: np.ascontiguousarray(array[rows[i : i + batch]]) for name, array in inputs.items()} for i in range(0, len(rows), batch)]


def outputs(runner: Runner, inputs: Tensors, batch: int, batched: bool = True) -> dict[str, Array]:
    """All outputs for all inputs, by name, the fill-up removed."""
    count = len(next(iter(inputs.values())))
    parts = [runner.run(feeds) for feeds in batches(inputs, batch, batched)]
    if not batched:
        return {name: np.stack([part[name] for part in parts]) for name in parts[0]}
    return {name: np.concatenate([part[name] for part in parts])[:count] for name in parts[0]}


def accuracy(actual: Tensors, variant: Variant, reference: Tensors) -> Accuracy:
    """Errors of every output, agreement and the task metric. Raises UserError when an output is missing or misshapen.

    Outputs of integers are decisions (an index, a length): no error in decibels says anything of them, `agreement` does.
    """
    missing = [name for name in variant.outputs if name not in actual]
    if missing:
        raise UserError(f"the plan has no output '{missing[0]}', only {', '.join(sorted(actual))}: a pass renamed or removed it")
    try:
        errors = {name: output_error(name, actual[name], reference[name]) for name in variant.outputs}
    except ValueError as error:
        raise UserError(f"{error}: a pass or the backend changed the shape") from error
    return Accuracy(
        inputs=len(reference[variant.outputs[0]]),
        outputs=tuple(error for name, error in errors.items() if np.issubdtype(reference[name].dtype, np.floating)),
        agreement=variant.agreement(actual, reference),
        metric=variant.metric,
        score=variant.score(actual) if variant.score else None,
        reference_score=variant.score(reference) if variant.score else None,
        measures=tuple((name, measure(actual, reference)) for name, measure in variant.measures.items()),
    )


def tolerance(precision: Precision) -> Tolerance:
    """The bounds a precision declares."""
    return Tolerance(precision.min_snr_db, precision.min_agreement, precision.max_drop, precision.why)
