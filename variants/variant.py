"""What a model file declares: the network, its inputs, and how well it does its task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

Array: TypeAlias = npt.NDArray[Any]
Tensors: TypeAlias = Mapping[str, Array]
Split: TypeAlias = Literal["calibration", "test"]
Sizes: TypeAlias = Mapping[str, int]
"""One setting of the dynamic dimensions by name, such as {"batch": 2, "sequence": 40}."""

BATCH = "batch"
"""The dynamic dimension on axis 0 of every input and output."""


class Model:
    """What a file of variants/models declares: a `Variant`, or a `Family` of them."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Ready:
    """A model that is an ONNX file already: `write(path)` puts it there as it is, `reference()` gives its outputs on the test split.

    `parameters` counts its weights. Where not `batched`, axis 0 of inputs and outputs only numbers the runs, and a run takes
    and gives every tensor without it.
    """

    write: Callable[[Path], None]
    reference: Callable[[], Tensors]
    parameters: int
    batched: bool


@dataclass(frozen=True, slots=True)
class Variant(Model):
    """A model of the matrix, with real inputs and its own task metric.

    `module()` returns the PyTorch FP32 reference in evaluation mode, weights loaded; it takes the inputs in
    order. `inputs(split)` gives named arrays [n, ...] whose first axis is the batch. `agreement(outputs,
    reference)` is the share (0..1) of inputs on which both decide alike; `score(outputs)` is the task metric on
    the test split, higher is better, in the unit that `metric` names; None where nothing is labelled (seeded
    weights): then `metric` names the agreement. `measures` are further figures
    against the reference that the task is judged by, higher is better. `files` are what the weights and the network come from: their
    content is part of every artefact's identity, as are the versions of `distributions`.

    `axes` names the dynamic dimensions beyond the batch, by input or output: {"input_ids": {1: "sequence"}};
    `ranges` holds (min, best, max) of each by its name. `check_shapes` are the settings, at least three where
    anything is dynamic, on which every export is compared with PyTorch; `at(sizes)` makes inputs of such a
    setting, where cutting and repeating the test inputs would not do (lengths, masks). `only_batch` is for a
    model that takes no other batch; with `dynamic` False every dimension is fixed, at the case's batch and the
    best of each range. `unavailable()` says what is missing to make the model, with the command that mends it.
    """

    module: Callable[[], torch.nn.Module]
    inputs: Callable[[Split], Tensors]
    outputs: tuple[str, ...]
    metric: str
    agreement: Callable[[Tensors, Tensors], float]
    score: Callable[[Tensors], float] | None
    files: tuple[Path, ...]
    opset: int = 13
    measures: Mapping[str, Callable[[Tensors, Tensors], float]] = field(default_factory=dict)
    axes: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    ranges: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    check_shapes: tuple[Sizes, ...] = ({BATCH: 1}, {BATCH: 2}, {BATCH: 5})
    at: Callable[[Sizes], Tensors] | None = None
    only_batch: int | None = None
    dynamic: bool = True
    distributions: tuple[str, ...] = ()
    unavailable: Callable[[], str | None] = lambda: None
    restore: Callable[[Path], torch.nn.Module] | None = None
    """The module with the weights of a checkpoint (file or folder), where those are not simply a state dict for `module()`."""

    ready: Ready | None = None
    """The export itself; then nothing asks for `module`."""

    @property
    def batched(self) -> bool:
        """Whether axis 0 of all inputs and outputs is the batch; else it only numbers the runs."""
        return self.ready is None or self.ready.batched

    def why_not(self, batch: int) -> str:
        """Why it cannot be made here or does not take `batch`; "" when it can."""
        if reason := self.unavailable():
            return reason
        if self.only_batch not in (None, batch):
            return f"this model takes batch {self.only_batch} only"
        low, _, high = self.ranges.get(BATCH, (1, 1, batch))
        return "" if low <= batch <= high else f"batch {batch} is outside its range of {low} to {high}"


@dataclass(frozen=True, slots=True)
class Family(Model):
    """One model in several sizes, the first the default; written `vit` or `vit:base`.

    A size is made when it is asked for; making one imports no torch and reads no weights.
    """

    sizes: Mapping[str, Callable[[], Variant]]


def topk_agreement(outputs: Tensors, reference: Tensors, k: int = 5) -> float:
    """Share of places of the first output [..., classes] whose best class in the reference is among the best `k` here."""
    (name, *_) = reference
    best = reference[name].argmax(-1)
    kept = np.argpartition(outputs[name], -k, -1)[..., -k:]
    return float(np.mean((kept == best[..., None]).any(-1)))


def top1_agreement(outputs: Tensors, reference: Tensors) -> float:
    """Share of inputs whose largest value of the first output [n, classes] is at the same class."""
    (name, *_) = reference
    return float(np.mean(outputs[name].argmax(-1) == reference[name].argmax(-1)))
