"""The FP32 reference of an ONNX file: ONNX Runtime on the CPU, its graph optimisations off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from common.errors import UserError
from variants.variant import Array, Tensors

PIECE = 8
"""Samples of one run where the batch is free."""


def feeds(inputs: Tensors, batched: bool, only: int | None) -> Iterator[dict[str, Array]]:
    """Inputs [n, ...] run by run: in pieces of the batch, or whole ones without their first axis."""
    count = len(next(iter(inputs.values())))
    step = (only or PIECE) if batched else 1
    for start in range(0, count, step):
        if batched:
            yield {name: array[start : start + step] for name, array in inputs.items()}
        else:
            yield {name: np.asarray(array[start]) for name, array in inputs.items()}


def run(path: Path, inputs: Tensors, batched: bool, only: int | None) -> dict[str, Array]:
    """All outputs [n, ...] by name.

    Every optimisation is off because fusing and folding are what is measured: the reference computes the file's nodes one by
    one, in the types the file has. Raises UserError when it does not run on these inputs, or its outputs do not follow the samples.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exception types share no public base
        raise UserError(
            f"{path}: ONNX Runtime, the reference, does not take it ({_reason(error)}); "
            "export it at opset 13 or later, or give what it computes with --inputs and --reference"
        ) from error
    names = [output.name for output in session.get_outputs()]
    try:
        found = [(len(next(iter(feed.values()))) if batched else 1, session.run(names, feed)) for feed in feeds(inputs, batched, only)]
    except Exception as error:
        raise UserError(
            f"{path}: ONNX Runtime, the reference, does not run it on these inputs ({_reason(error)}); {_remedy(inputs)}"
        ) from error
    return {name: _joined(path, name, [(rows, parts[at]) for rows, parts in found], batched) for at, name in enumerate(names)}


def _joined(path: Path, name: str, parts: list[tuple[int, Array]], batched: bool) -> Array:
    arrays = [np.asarray(part) for _, part in parts]
    if len({array.shape[1:] if batched else array.shape for array in arrays}) > 1:
        raise UserError(
            f"{path}: the shape of output '{name}' depends on the values of the inputs, so it cannot be compared; export without it"
        )
    if not batched:
        return np.stack(arrays)
    for rows, array in zip((rows for rows, _ in parts), arrays, strict=True):
        if not array.ndim or len(array) != rows:
            raise UserError(
                f"{path}: output '{name}' is {list(array.shape)} for a batch of {rows}, so its first axis is not the batch; "
                "fix the batch with --dim, such as --dim batch=1, and every run is taken whole"
            )
    return np.concatenate(arrays)


def _reason(error: Exception) -> str:
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return text.removeprefix("[ONNXRuntimeError] : ")[:300].rstrip(".;")


def _remedy(inputs: Tensors) -> str:
    shapes = ", ".join(f"{name} {list(array.shape[1:])}" for name, array in inputs.items())
    return f"samples were {shapes}: set other sizes with --dim, or give real inputs with --inputs"
