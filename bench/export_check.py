"""An export against the PyTorch module that it came from, on several shapes, before anything is made of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import UserError
from reports.accuracy import OutputError, output_error
from variants.export import run_module
from variants.shapes import described, inputs_at, timed
from variants.variant import Array, Sizes, Tensors, Variant

if TYPE_CHECKING:
    import torch

MIN_SNR_DB = 80
"""As of precision fp32: the same arithmetic in another order leaves about 100 dB; a wrong mask or axis leaves under 40."""


def refuse_difference(variant: Variant, module: torch.nn.Module, file: Path, batch: int) -> None:
    """Compare the export in `file` on every shape of `check_shapes`; a static one on the shape that it is fixed at.

    Raises UserError with the shape, the tensor and the error of the first output that differs.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    taken = {value.name for value in session.get_inputs()}
    for sizes in _shapes(variant, batch):
        inputs = inputs_at(variant, sizes)
        if unread := inputs.keys() - taken:
            raise UserError(f"the export has no input '{min(unread)}': the network does not use it; leave it out of the inputs")
        expected = run_module(module, variant.outputs, inputs)
        found = _run(session, variant, inputs, sizes)
        for name in variant.outputs:
            _compare(name, found[name], expected[name], sizes)


def _shapes(variant: Variant, batch: int) -> tuple[Sizes, ...]:
    return variant.check_shapes if variant.dynamic else (timed(variant, variant.only_batch or batch),)


def _run(session: object, variant: Variant, inputs: Tensors, sizes: Sizes) -> dict[str, Array]:
    try:
        arrays: list[Array] = session.run(list(variant.outputs), dict(inputs))  # type: ignore[attr-defined]
    except Exception as error:  # its exception types share no public base
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"the export does not run at {described(sizes)}: {reason}") from error
    return dict(zip(variant.outputs, arrays, strict=True))


def _compare(name: str, actual: Array, expected: Array, sizes: Sizes) -> None:
    where = f"the export differs from PyTorch at {described(sizes)}"
    try:
        error = output_error(name, actual, expected)
    except ValueError as misshapen:
        raise UserError(f"{where}: {misshapen}") from misshapen
    if error.non_finite or not error.snr_db >= MIN_SNR_DB:
        raise UserError(f"{where}: output '{name}' {_said(error)}")


def _said(error: OutputError) -> str:
    if error.absolute is None:
        return f"has {error.non_finite} of {error.elements} elements NaN or infinite"
    return f"has signal-to-noise {error.snr_db:.1f} dB, {MIN_SNR_DB} needed, and is off by up to {error.absolute.max:.3g}"
