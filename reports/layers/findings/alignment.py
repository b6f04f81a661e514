"""Products whose sizes are no multiple of what tensor cores work in."""

from __future__ import annotations

import math
from collections.abc import Sequence

from reports.layers.finding import Context, Finder, Finding
from reports.layers.findings._layers import is_product, lines, on_gpu, percent, plural, precision, share_of, time_of, timed
from reports.layers.layer import Layer
from reports.layers.profile import Profile

MULTIPLE = {"FP32": 4, "TF32": 4, "FP16": 8, "BF16": 8, "FP8": 16, "INT8": 32}
"""Elements in 16 bytes (32 for INT8, whose layouts hold 32 channels; 16 is the least): NVIDIA, Deep Learning Performance guide."""
LEAST = 0.05
"""Share of the time of the layers concerned."""
IMAGE = 4
"""Channels up to which an input is an image, for which TensorRT has kernels of its own."""


def _find(profile: Profile, context: Context) -> Sequence[Finding]:
    if not on_gpu(profile):
        return ()
    words, found, padded = {}, [], 0.0
    for layer in timed(profile):
        multiple = MULTIPLE.get(precision(layer)) if is_product(layer) else None
        odd = [(what, size) for what, size in _sizes(layer) if multiple and size % multiple]
        if odd and multiple:
            found.append(layer)
            words[layer.rank] = ", ".join(f"{what} {size} is no multiple of {multiple}" for what, size in odd) + f" ({precision(layer)})"
            padded += (layer.mean_us or 0.0) * (1 - math.prod(size / (-(-size // multiple) * multiple) for _, size in odd))
    share = share_of(found, profile)
    if share < LEAST:
        return ()
    return (
        Finding(
            f"Products with sizes off the tensor-core alignment take {percent(share)} of the time ({plural(len(found), 'layer')})",
            (*lines(found, profile, words), f"padding to the next multiple would be {percent(padded / time_of(found))} of their work"),
            "If the model is yours, choose channels, heads' widths and padded sequence lengths that are multiples; else pad the "
            "weights with zeros in the graph. What it brings depends on the kernel (a misaligned one may also load in smaller "
            "pieces), so measure; the time shown is that of the whole layers, not the gain.",
            time_of(found),
            share,
        ),
    )


def _sizes(layer: Layer) -> list[tuple[str, int]]:
    """The sizes that lie contiguous in memory: channels of a convolution, inner and outer of a matrix product.

    None for a grouped convolution, which seldom runs on tensor cores, and for dynamic shapes.
    """
    if not layer.inputs or not layer.outputs:
        return []
    read, written = layer.inputs[0].shape, layer.outputs[0].shape
    if len(read) < 2 or len(written) < 2 or min(*read, *written) < 1:
        return []
    if "conv" in f"{layer.type} {layer.subtype}".lower() or layer.group == "convolution":
        if _grouped(layer, read[1], written):
            return []
        return [*((("input channels", read[1]),) if read[1] > IMAGE else ()), ("output channels", written[1])]
    return [("inner size", read[-1]), ("outer size", written[-1])]


def _grouped(layer: Layer, channels: int, written: tuple[int, ...]) -> bool:
    """Fewer operations an output than it has input channels."""
    named = "depthwise" in f"{layer.type} {layer.subtype} {layer.tactic}".lower()
    return named or (layer.operations is not None and layer.operations < 2 * math.prod(written) * channels)


alignment = Finder(_find)
