"""What is known of an ONNX file before anything of it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from common.errors import UserError
from variants.own import data
from variants.own.external import refuse_outside
from variants.own.layout import Layout, layout
from variants.own.limits import Limit, limits
from variants.own.ports import Port, inputs, outputs
from variants.own.read import read
from variants.variant import Array


@dataclass(frozen=True, slots=True)
class Given:
    """What the user says about a file: its inputs and reference outputs (.npz), and sizes of its free dimensions."""

    inputs: Path | None = None
    reference: Path | None = None
    dims: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Known:
    """The file's inputs, outputs, sizes and limits; `files` holds it and its weights beside it, `arrays` the user's inputs.

    The weights themselves are not kept: a benchmark follows in this process.
    """

    path: Path
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    layout: Layout
    limits: Mapping[str, Limit]
    files: tuple[Path, ...]
    opset: int
    parameters: int
    ir_version: int
    arrays: Mapping[str, Array]

    def shape(self, port: Port, rows: int) -> tuple[int, ...]:
        """Of `rows` samples of an input."""
        return (rows, *self.layout.shape(port))


def know(path: Path, given: Given) -> Known:
    """The file and the user's inputs, checked. Raises UserError with the first thing that is wrong."""
    model = read(path)
    wanted, made = inputs(path, model), outputs(path, model)
    arrays: dict[str, Array] = {}
    if given.inputs is not None:
        arrays = data.matched(given.inputs, data.load(given.inputs, "--inputs"), wanted, "--inputs")
    try:
        found = layout(wanted, made, given.dims)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    if given.inputs is not None:
        found = _fitted(given.inputs, arrays, wanted, found, given.dims)
    lead = ((found.only or 1),) if found.batched else ()
    bounds = limits(model, {port.name: (*lead, *found.shape(port)) for port in wanted})
    return Known(
        path,
        wanted,
        made,
        found,
        bounds,
        (path, *refuse_outside(path, model)),
        max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0),
        sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer),
        model.ir_version,
        arrays,
    )


def _fitted(path: Path, arrays: dict[str, Array], wanted: tuple[Port, ...], found: Layout, dims: Mapping[str, int]) -> Layout:
    """The layout at the sizes of the arrays, to which one whole run gains the axis that counts runs."""
    if not found.batched and all(arrays[port.name].ndim == len(port.shape or ()) for port in wanted):
        arrays |= {name: array[None] for name, array in arrays.items()}
    sizes = data.sizes(path, arrays, wanted, not found.batched, dims)
    count = data.rows(path, arrays, "--inputs")
    if found.batched and found.only and count % found.only:
        raise UserError(
            f"--inputs {path}: {count} samples are not whole batches of {found.only}, all that the model takes; give a multiple"
        )
    return replace(found, sizes={name: sizes.get(name, size) for name, size in found.sizes.items()})
