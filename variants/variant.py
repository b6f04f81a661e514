"""What a model file declares: the network, its inputs, and how well it does its task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

Array: TypeAlias = npt.NDArray[Any]
Tensors: TypeAlias = Mapping[str, Array]
Split: TypeAlias = Literal["calibration", "test"]


@dataclass(frozen=True, slots=True)
class Variant:
    """A model of the matrix, with real inputs and its own task metric.

    `module()` returns the PyTorch FP32 reference in evaluation mode, weights loaded; it takes the inputs in
    order. `inputs(split)` gives named arrays [n, ...] whose first axis is the batch. `agreement(outputs,
    reference)` is the share (0..1) of inputs on which both decide alike; `score(outputs)` is the task metric on
    the test split, higher is better, in the unit that `metric` names. `files` are what the weights and the
    network come from: their content is part of every artefact's identity.
    """

    module: Callable[[], torch.nn.Module]
    inputs: Callable[[Split], Tensors]
    outputs: tuple[str, ...]
    metric: str
    agreement: Callable[[Tensors, Tensors], float]
    score: Callable[[Tensors], float]
    files: tuple[Path, ...]
    opset: int = 13


def top1_agreement(outputs: Tensors, reference: Tensors) -> float:
    """Share of inputs whose largest value of the first output [n, classes] is at the same class."""
    (name, *_) = reference
    return float(np.mean(outputs[name].argmax(-1) == reference[name].argmax(-1)))
