"""Quantise and dequantise that did not fuse, and products an INT8 engine still computes in floating point."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reports.layers.finding import Context, Finder, Finding
from reports.layers.findings._layers import HALF, is_product, is_qdq, lines, percent, plural, precision, share_of, time_of, timed
from reports.layers.layer import Layer
from reports.layers.profile import Profile

LEAST = 0.01
"""Share of the time: a Q or DQ that fused takes none at all."""
LEAST_FLOAT = 0.05
"""Share of the products left in floating point: a first or last layer alone is usual and mostly wanted."""


def _find(profile: Profile, context: Context) -> Sequence[Finding]:
    return (*_alone(profile), *_floating(profile))


def _alone(profile: Profile) -> Iterator[Finding]:
    made = {tensor.name for layer in profile.layers for tensor in layer.outputs}
    found = [layer for layer in timed(profile) if is_qdq(layer)]
    inner = [layer for layer in found if not layer.inputs or layer.inputs[0].name in made]
    share = share_of(inner, profile)
    if share < LEAST:
        return
    edge = len(found) - len(inner)
    note = (f"{plural(edge, 'more layer')} at a network input left out: an input has to be quantised somewhere",) if edge else ()
    yield Finding(
        f"Q/DQ that did not fuse take {percent(share)} of the time ({plural(len(inner), 'layer')})",
        (*lines(inner, profile), *note),
        "A Q or DQ fuses with the product beside it when nothing else reads the tensor and both inputs of a residual Add are "
        "quantised: see where these stand in the ONNX graph, quantise the other branch too, or use one scale for both. "
        "Where a layer must stay in floating point, its Q and DQ cost what is shown here.",
        time_of(inner),
        share,
    )


def _floating(profile: Profile) -> Iterator[Finding]:
    products = [layer for layer in timed(profile) if is_product(layer)]
    quantised = [layer for layer in products if precision(layer) in ("INT8", "FP8")]
    left = [layer for layer in products if precision(layer) in HALF]
    share = share_of(left, profile)
    if not quantised or share < LEAST_FLOAT:
        return
    yield Finding(
        f"{len(left)} of {plural(len(products), 'product')} of an {precision(quantised[0])} engine compute in {_names(left)}",
        (f"{len(quantised)} products are quantised", *lines(left, profile)),
        "Either their inputs have no Q/DQ in the ONNX graph, or the builder measured floating point as faster for this shape "
        "(its log with --verbose tells which). If the graph should quantise them, add the pairs there.",
        time_of(left),
        share,
    )


def _names(layers: Sequence[Layer]) -> str:
    return " and ".join(sorted({precision(layer) for layer in layers}))


unfused_qdq = Finder(_find)
