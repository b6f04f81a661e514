"""Reformats and copies between layouts and precisions."""

from __future__ import annotations

from collections.abc import Sequence

from reports.layers.finding import Context, Finder, Finding
from reports.layers.findings._layers import cut, is_reformat, lines, percent, plural, share_of, time_of, timed, us
from reports.layers.layer import Layer, Tensor
from reports.layers.profile import Profile

LEAST = 0.03
"""Share of the time from which it is worth a look; below, nearly every engine has a few."""


def _find(profile: Profile, context: Context) -> Sequence[Finding]:
    found = [layer for layer in timed(profile) if is_reformat(layer)]
    share = share_of(found, profile)
    if share < LEAST:
        return ()
    casts = [layer for layer in found if _converts(layer)]
    known = [layer for layer in found if layer.inputs and layer.outputs]
    kinds = f"{len(casts)} convert the precision ({us(time_of(casts))}), {len(known) - len(casts)} only the layout"
    makers, readers = _ends(profile.layers)
    words = {layer.rank: _route(layer, makers, readers) for layer in known}
    return (
        Finding(
            f"Reformats and copies take {percent(share)} of the time ({plural(len(found), 'layer')})",
            (*((kinds,) if known else ()), *lines(found, profile, words)),
            "At the network's edges, hand over and take tensors as the engine wants them (trtexec --inputIOFormats, --outputIOFormats). "
            "Inside, each one stands between two layers that chose different layouts or precisions: giving both the same precision, "
            "or channels that are a multiple of 8 (FP16) or 32 (INT8), often removes it; rebuild and compare.",
            time_of(found),
            share,
        ),
    )


def _converts(layer: Layer) -> bool:
    return bool(layer.inputs and layer.outputs and layer.inputs[0].precision != layer.outputs[0].precision)


def _ends(layers: Sequence[Layer]) -> tuple[dict[str, str], dict[str, str]]:
    makers = {tensor.name: layer.name for layer in layers for tensor in layer.outputs}
    readers = {tensor.name: layer.name for layer in layers for tensor in layer.inputs}
    return makers, readers


def _route(layer: Layer, makers: dict[str, str], readers: dict[str, str]) -> str:
    """ "FP32 row major -> FP16 channel major, from conv1 to conv2"."""
    before, after = layer.inputs[0], layer.outputs[0]
    words = [_layout(before), _layout(after)]
    change = f"{words[0]} -> {words[1]}" if words[0] != words[1] else f"{words[0]} on both sides"
    ends = (cut(makers.get(before.name, "the network input")), cut(readers.get(after.name, "the network output")))
    return f"{change}, from {ends[0]} to {ends[1]}"


def _layout(tensor: Tensor) -> str:
    if tensor.precision.lower() in tensor.format.lower():
        return tensor.format or tensor.precision
    return f"{tensor.precision} {tensor.format}".strip()


reformats = Finder(_find)
