"""A layer's fields in words, as tables and hovers show them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reports.layers.layer import Layer, Tensor
from reports.wording import microseconds, shorten

LISTED = 6
"""Nodes or tensors that a hover lists; the others are counted."""
WIDTH = 90


def time_us(value: float | None) -> str:
    """Microseconds, or a dash."""
    return "–" if value is None else microseconds(value)


def size(count: float | None) -> str:
    """Bytes in the unit that leaves at most three digits before the point."""
    if count is None:
        return "–"
    for unit, bound in (("B", 1e3), ("kB", 1e6), ("MB", 1e9)):
        if count < bound:
            return f"{count / bound * 1e3:.4g} {unit}"
    return f"{count / 1e9:.4g} GB"


def precisions(tensors: Iterable[Tensor]) -> str:
    """Each precision once, in the order met: "FP16, INT8"."""
    return ", ".join(dict.fromkeys(tensor.precision for tensor in tensors if tensor.precision))


def precision(layer: Layer) -> str:
    """What goes in and what comes out: "FP16", or "FP32 → FP16" where they differ."""
    before, after = precisions(layer.inputs), precisions(layer.outputs)
    return before or after if before == after or not (before and after) else f"{before} → {after}"


def formats(tensors: Iterable[Tensor]) -> str:
    """Each memory format once."""
    return ", ".join(dict.fromkeys(tensor.format for tensor in tensors if tensor.format))


def shape(tensor: Tensor) -> str:
    """Dimensions: "1x64x56x56"."""
    return "x".join(str(extent) for extent in tensor.shape)


def lines(layer: Layer, total: int) -> tuple[str, ...]:
    """All fields that the layer has, a line each."""
    found = [
        *wrapped(layer.name),
        " · ".join(word for word in (layer.type, layer.subtype, layer.group, layer.module) if word),
        f"rank {layer.rank:,} of {total:,}" + (f", runs as number {layer.position + 1:,}" if layer.position else ""),
    ]
    if layer.mean_us is not None:
        found.append(f"mean {time_us(layer.mean_us)} µs, median {time_us(layer.median_us)} µs, {layer.calls:,} x a run")
        found.append(f"{layer.share:.2%} of the time, {layer.cumulative:.2%} with all that take longer")
    if layer.total_us is not None:
        found.append(f"total {time_us(layer.total_us)} µs over the profiled runs")
    for title, tensors in (("in ", layer.inputs), ("out", layer.outputs)):
        found += [f"{title} {_tensor(tensor)}" for tensor in tensors[:LISTED]]
        found += _more(tensors)
    if layer.bytes_read is not None or layer.bytes_written is not None:
        found.append(f"reads {size(layer.bytes_read)}, writes {size(layer.bytes_written)}")
    if layer.intensity is not None:
        found.append(f"{layer.intensity:.3g} operations a byte")
    if layer.nodes:
        found += [f"ONNX {shorten(node, WIDTH)}" for node in layer.nodes[:LISTED]]
        found += _more(layer.nodes)
    if layer.tactic:
        found.append(f"tactic {shorten(layer.tactic, WIDTH)}")
    if layer.stream is not None:
        found.append(f"stream {layer.stream}")
    return tuple(found)


def wrapped(name: str, most: int = 4) -> list[str]:
    """A long name in pieces of WIDTH characters, the middle left out beyond `most` of them."""
    pieces = [name[start : start + WIDTH] for start in range(0, len(name), WIDTH)] or ["(no name)"]
    return pieces if len(pieces) <= most else [*pieces[: most - 1], "…", name[-WIDTH:]]


def _tensor(tensor: Tensor) -> str:
    words = (shape(tensor), tensor.precision, tensor.format, shorten(tensor.name, 40))
    return " ".join(word for word in words if word)


def _more(listed: Sequence[object]) -> list[str]:
    return [f"… and {len(listed) - LISTED:,} more"] if len(listed) > LISTED else []
