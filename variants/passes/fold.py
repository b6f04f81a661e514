"""Constant folding by Polygraphy, shape arithmetic included."""

from __future__ import annotations

import onnx

from variants.graph_pass import cleaner


def clean(model: onnx.ModelProto) -> onnx.ModelProto:
    """f(constants) -> constant."""
    from polygraphy.backend.onnx import fold_constants
    from polygraphy.logger import G_LOGGER

    with G_LOGGER.verbosity(G_LOGGER.CRITICAL):
        return fold_constants(model)


fold = cleaner(clean, "polygraphy")
