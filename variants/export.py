"""Variant -> ONNX with a dynamic batch, and the PyTorch FP32 reference outputs."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from variants.variant import Array, Variant

REFERENCE_BATCH = 60


def export(variant: Variant, path: Path) -> None:
    """Write `variant` to `path` as ONNX at its opset, first axis of every input and output dynamic ("batch").

    torch's TorchScript exporter, because it alone still writes opset 13, where LayerNorm and GELU come out
    decomposed as the write-ups met them; node names carry the module path.
    """
    import torch

    example = {name: torch.from_numpy(array[:2]) for name, array in variant.inputs("test").items()}
    batch = {name: {0: "batch"} for name in (*example, *variant.outputs)}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            variant.module(),
            tuple(example.values()),
            str(path),
            opset_version=variant.opset,
            input_names=list(example),
            output_names=list(variant.outputs),
            dynamic_axes=batch,
            dynamo=False,
        )


def reference(variant: Variant) -> dict[str, Array]:
    """The outputs of the PyTorch FP32 model on the whole test split, by output name, each [n, ...]."""
    import torch

    module = variant.module()
    arrays = tuple(torch.from_numpy(array) for array in variant.inputs("test").values())
    found: list[tuple[torch.Tensor, ...]] = []
    with torch.no_grad():
        for rows in torch.split(torch.arange(len(arrays[0])), REFERENCE_BATCH):
            out = module(*(array[rows] for array in arrays))
            found.append(out if isinstance(out, tuple) else (out,))
    joined = [np.concatenate([part.numpy() for part in parts]) for parts in zip(*found, strict=True)]
    return dict(zip(variant.outputs, joined, strict=True))
