"""Layers that stayed in FP32 although the engine computes in a lower precision."""

from __future__ import annotations

from collections.abc import Sequence

from reports.layers.finding import Context, Finder, Finding
from reports.layers.findings._layers import (
    LOW,
    is_product,
    is_qdq,
    is_reformat,
    lines,
    percent,
    plural,
    precision,
    precisions,
    share_of,
    time_of,
    timed,
)
from reports.layers.layer import Layer
from reports.layers.profile import Profile

LEAST = 0.02
"""Share of the time: small FP32 reductions and the last layer are usual and often wanted."""


def _find(profile: Profile, context: Context) -> Sequence[Finding]:
    layers = timed(profile)
    lower = [layer for layer in layers if is_product(layer) and precision(layer) in LOW]
    found = [layer for layer in layers if not is_reformat(layer) and not is_qdq(layer) and _is_fp32(layer)]
    share = share_of(found, profile)
    if not lower or share < LEAST:
        return ()
    common = sorted({precision(layer) for layer in lower})
    products = [layer for layer in found if is_product(layer)]
    kinds = f"{plural(len(lower), 'product')} in {' and '.join(common)}, {plural(len(products), 'product')} among the FP32 layers"
    return (
        Finding(
            f"FP32 layers beside {'/'.join(common)} products take {percent(share)} of the time ({plural(len(found), 'layer')})",
            (kinds, *lines(found, profile)),
            "FP32 may be asked for (a Cast in the graph, a strongly typed network, --layerPrecisions) or be what the builder found "
            "faster. Normalisation and softmax often need it for accuracy; for a product try the lower precision and check accuracy.",
            time_of(found),
            share,
        ),
    )


def _is_fp32(layer: Layer) -> bool:
    read, written = precisions(layer.inputs), precisions(layer.outputs)
    return bool(read and written) and {*read, *written} <= {"FP32", "TF32"}


stayed_fp32 = Finder(_find)
