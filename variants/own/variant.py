"""An ONNX file -> Variant."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx

from common.errors import UserError
from variants.heavy import save
from variants.own.generate import kind
from variants.own.known import Given, Known, know
from variants.own.layout import free
from variants.own.limits import Limit
from variants.own.ports import Port
from variants.own.runtime import run
from variants.own.samples import expected, splits
from variants.variant import Ready, Tensors, Variant, top1_agreement

if TYPE_CHECKING:
    import torch

LOGITS = re.compile("logit|prob|score|class|softmax|label", re.IGNORECASE)
NOT_LOGITS = re.compile("embed|hidden|pool|feature|box", re.IGNORECASE)
HALF = 0.5
DECIDES = 4
"""Bytes from which an integer is a decision (an index, a count), which is right or wrong; smaller ones are quantised values."""

IR_WITHOUT_WEIGHTS_AS_INPUTS = 4


@dataclass(frozen=True, slots=True)
class Made:
    """A variant, in one line what it is fed, and the free dimensions by name."""

    variant: Variant
    fed: str
    dims: tuple[str, ...]


def variant(path: Path, given: Given) -> Made:
    """The file as a variant. Raises UserError for whatever is wrong with it or with what was given."""
    if given.reference is not None and given.inputs is None:
        raise UserError(f"--reference {given.reference}: needs the inputs it was computed from; give them with --inputs data.npz")
    own = know(path, given)
    inputs = splits(own)
    outputs = expected(own, given.reference) if given.reference is not None else None

    def reference() -> Tensors:
        return run(path, inputs("test"), own.layout.batched, own.layout.only) if outputs is None else outputs

    decides = looks_like_logits(own.outputs[0])
    made = Variant(
        module=_no_module,
        inputs=inputs,
        outputs=tuple(port.name for port in own.outputs),
        metric="top-1 agreement" if decides else "samples off by less than half",
        agreement=top1_agreement if decides else within_half,
        score=None,
        files=(*own.files, *(file for file in (given.inputs, given.reference) if file is not None)),
        opset=own.opset,
        only_batch=own.layout.only,
        distributions=("onnx", "onnxruntime"),
        ready=Ready(lambda file: _write(own, file), reference, own.parameters, own.layout.batched),
    )
    return Made(made, _fed(own, given), free(own.inputs))


def _fed(own: Known, given: Given) -> str:
    if given.inputs is not None:
        return f"inputs from {given.inputs}"
    return "made-up inputs, " + "; ".join(_words(own, port) for port in own.inputs)


def _words(own: Known, port: Port) -> str:
    lead = (own.layout.only or "batch",) if own.layout.batched else ()
    shape = ", ".join(map(str, (*lead, *own.layout.shape(port))))
    return f"{port.name} [{shape}]: {kind(port, own.shape(port, 1), own.limits.get(port.name, Limit()))}"


def within_half(outputs: Tensors, reference: Tensors) -> float:
    """Share of samples none of whose outputs is off by half: of its own size, or half of its indices or truths."""
    good = []
    for name, wanted in reference.items():
        if wanted.dtype.kind == "b" or (wanted.dtype.kind in "iu" and wanted.dtype.itemsize >= DECIDES):
            good.append((outputs[name] == wanted).reshape(len(wanted), -1).mean(1) > HALF)
            continue
        size = wanted.astype(np.float64).reshape(len(wanted), -1)
        error = np.linalg.norm(outputs[name].astype(np.float64).reshape(size.shape) - size, axis=1)
        good.append(error <= HALF * np.linalg.norm(size, axis=1))
    return float(np.mean(np.all(good, axis=0)))


def looks_like_logits(port: Port) -> bool:
    """Whether the largest value along the last axis is a decision: by name, or two axes of which the last is fixed."""
    if np.dtype(port.dtype).kind != "f" or not port.shape or len(port.shape) < 2 or port.shape[-1] == 1:
        return False
    plain = len(port.shape) == 2 and isinstance(port.shape[-1], int) and not NOT_LOGITS.search(port.name)
    return plain or LOGITS.search(port.name) is not None


def _no_module() -> torch.nn.Module:
    raise UserError("an ONNX file has no PyTorch module; for that, add the model to variants/models (docs/adding.md)")


def _write(own: Known, file: Path) -> None:
    """The file as it is; weights that lie beside it are taken in, or lie beside the copy where they are above protobuf's limit.

    Before IR version 4 a weight had to be a graph input too, and was none: whoever rewrites such a file, a pass or a runtime that
    saves what it optimised, leaves inputs that nobody feeds. So it is said in the words of version 4.
    """
    if len(own.files) == 1 and own.ir_version >= IR_WITHOUT_WEIGHTS_AS_INPUTS:
        shutil.copyfile(own.path, file)
        return
    model = onnx.load(own.path)
    if model.ir_version < IR_WITHOUT_WEIGHTS_AS_INPUTS:
        weights = {tensor.name for tensor in model.graph.initializer}
        fed = [value for value in model.graph.input if value.name not in weights]
        del model.graph.input[:]
        model.graph.input.extend(fed)
        model.ir_version = IR_WITHOUT_WEIGHTS_AS_INPUTS
    save(model, file)
