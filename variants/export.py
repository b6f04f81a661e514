"""Variant -> ONNX with its dynamic dimensions, and the PyTorch FP32 reference outputs."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from variants.shapes import free_axes, inputs_at
from variants.variant import BATCH, Array, Tensors, Variant

if TYPE_CHECKING:
    import torch

REFERENCE_BATCH = 60
EXAMPLE_BATCH = 2
"""Tracing with a batch of one would let an exporter take a broadcast for granted."""


def export(variant: Variant, path: Path, batch: int = 1) -> torch.nn.Module:
    """Write `variant` to `path` as ONNX at its opset, its dynamic dimensions named; returns the module that was exported.

    A variant that is not dynamic is fixed at `batch`. torch's TorchScript exporter, because it alone still writes
    opset 13, where LayerNorm and GELU come out decomposed as the write-ups met them (LayerNormalization is an operator
    from 17 on, Gelu from 20 on); node names carry the module path.
    """
    import torch

    fixed = variant.only_batch or batch
    example = inputs_at(variant, {BATCH: fixed if variant.only_batch or not variant.dynamic else EXAMPLE_BATCH})
    module = variant.module()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            tuple(torch.from_numpy(array) for array in example.values()),
            str(path),
            opset_version=variant.opset,
            input_names=list(example),
            output_names=list(variant.outputs),
            dynamic_axes=_dynamic_axes(variant, (*example, *variant.outputs)),
            dynamo=False,
        )
    return module


def _dynamic_axes(variant: Variant, names: tuple[str, ...]) -> dict[str, dict[int, str]]:
    if not variant.dynamic:
        return {}
    fixed = {0} if variant.only_batch else set()
    axes = {name: {axis: dim for axis, dim in free_axes(variant, name).items() if axis not in fixed} for name in names}
    return {name: own for name, own in axes.items() if own}


def run_module(module: torch.nn.Module, outputs: tuple[str, ...], inputs: Tensors) -> dict[str, Array]:
    """The outputs of a PyTorch module by name."""
    import torch

    with torch.no_grad():
        out = module(*(torch.from_numpy(array) for array in inputs.values()))
    return {name: tensor.numpy() for name, tensor in zip(outputs, out if isinstance(out, tuple) else (out,), strict=True)}


def reference(variant: Variant) -> dict[str, Array]:
    """The outputs of the PyTorch FP32 model on the whole test split, by output name, each [n, ...]."""
    if variant.ready is not None:
        return dict(variant.ready.reference())
    module, inputs = variant.module(), variant.inputs("test")
    size = variant.only_batch or REFERENCE_BATCH
    parts = [
        run_module(module, variant.outputs, {name: array[start : start + size] for name, array in inputs.items()})
        for start in range(0, len(next(iter(inputs.values()))), size)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in variant.outputs}
