"""Which axis is the batch, and what size every other free dimension has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from common.errors import UserError
from variants.own.ports import Dim, Port

BATCHES = re.compile(r"n|b|bs|bsz|(.*_)?batch(_?size)?(_.*)?", re.IGNORECASE)
NOT_BATCHES = re.compile(r"seq|len|token|frame|time|height|width|^[hwtls]$|channel|point", re.IGNORECASE)
DEFAULTS = ((re.compile(r"seq|len|token", re.IGNORECASE), 128), (re.compile(r"height|width|^[hw]$", re.IGNORECASE), 224))
FRAMES, OTHER, UNBATCHED = (re.compile(r"frame", re.IGNORECASE), 200), 16, 1
TERM = re.compile(r"\w[\w.]*")
MANY = 2**28
"""Elements of one input and run that are taken for a mistake: a gigabyte of float32."""


@dataclass(frozen=True, slots=True)
class Layout:
    """`batched`: axis 0 of every input and output is the batch; else a run takes and gives each tensor whole.

    `only` is the only batch it takes, None where that is free. `sizes` holds the size of each free dimension but a free batch.
    """

    batched: bool
    only: int | None
    sizes: Mapping[str, int]

    def shape(self, port: Port) -> tuple[int, ...]:
        """What one input of a run measures, without a free batch, or with the only one."""
        own = port.shape or ()
        return tuple(_size(dim, self.sizes) for dim in (own[1:] if self.batched else own))


def layout(inputs: tuple[Port, ...], outputs: tuple[Port, ...], dims: Mapping[str, int]) -> Layout:
    """From the declared shapes; `dims` are the sizes the user asked for.

    The batch is axis 0 where all inputs and outputs share it: by one name, unnamed everywhere, or one fixed size. A batch
    whose size the user sets, or which is not axis 0 everywhere, leaves every run whole.
    """
    batch = _batch(inputs, outputs)
    named = next((name for name in free(inputs) if BATCHES.fullmatch(name)), "")
    if batch is None or (isinstance(batch, str) and batch in dims):
        sizes = _sizes(inputs, dims)
        return Layout(False, sizes.get(named if batch is None else batch, 1), sizes)
    later = tuple(replace(port, shape=port.shape[1:]) for port in inputs if port.shape)
    return Layout(True, batch if isinstance(batch, int) else None, _sizes(later, dims))


def _batch(inputs: tuple[Port, ...], outputs: tuple[Port, ...]) -> Dim | None:
    if not all(port.shape for port in inputs) or any(port.shape == () for port in outputs):
        return None
    first = {port.shape[0] for port in inputs if port.shape}
    unnamed = all(dim == f"{port.name}.0" for port in inputs for dim in (port.shape or ())[:1])
    batch = next(iter(first)) if len(first) == 1 or unnamed else None
    if batch is None or (isinstance(batch, str) and (NOT_BATCHES.search(batch) and not BATCHES.fullmatch(batch))):
        return None
    later = [dim for port in (*inputs, *outputs) for dim in (port.shape or ())[1:] if isinstance(dim, str)]
    if isinstance(batch, str) and any(batch in TERM.findall(dim) or BATCHES.fullmatch(dim) for dim in later):
        return None
    return batch if all(_follows(port, batch) for port in outputs) else None


def _follows(output: Port, batch: Dim) -> bool:
    """Whether axis 0 of an output can be the batch: what it declares does not say otherwise."""
    if not output.shape:
        return True
    first = output.shape[0]
    if isinstance(first, int) or isinstance(batch, int):
        return first == batch
    return first == batch or first == f"{output.name}.0" or BATCHES.fullmatch(first) is not None


def free(ports: tuple[Port, ...]) -> tuple[str, ...]:
    """The dimensions that need a size, each once: those of sums (`past + 1`) one by one."""
    dims = [dim for port in ports for dim in port.shape or () if isinstance(dim, str)]
    return tuple(dict.fromkeys(term for dim in dims for term in _terms(dim) if not term.isdecimal()))


def _terms(dim: str) -> list[str]:
    terms = [term.strip() for term in dim.split("+")]
    return terms if all(TERM.fullmatch(term) for term in terms) else [dim]


def _size(dim: Dim, sizes: Mapping[str, int]) -> int:
    if isinstance(dim, int):
        return dim
    return sum(int(term) if term.isdecimal() else sizes[term] for term in _terms(dim))


def _sizes(ports: tuple[Port, ...], dims: Mapping[str, int]) -> dict[str, int]:
    sizes = {name: dims.get(name, _default(name)) for name in free(ports)}
    for port in ports:
        elements = 1
        for dim in port.shape or ():
            elements *= _size(dim, sizes)
        if elements > MANY:
            shape = ", ".join(str(_size(dim, sizes)) for dim in port.shape or ())
            raise UserError(f"input '{port.name}' would be [{shape}], more than a gigabyte; set smaller dimensions with --dim")
    return sizes


def _default(name: str) -> int:
    if BATCHES.fullmatch(name):
        return UNBATCHED
    return next((size for pattern, size in (*DEFAULTS, FRAMES) if pattern.search(name)), OTHER)
