"""Constant folding by Polygraphy, shape arithmetic included."""

from __future__ import annotations

import onnx

from variants.graph_pass import cleaner


def clean(model: onnx.ModelProto) -> onnx.ModelProto:
    """f(constants) -> constant."""
    import onnxruntime
    from polygraphy.backend.onnx import fold_constants
    from polygraphy.logger import G_LOGGER

    onnxruntime.set_default_logger_severity(ERRORS)
    with G_LOGGER.verbosity(G_LOGGER.CRITICAL):
        folded: onnx.ModelProto = fold_constants(model)
    return folded


ERRORS = 3
"""ONNX Runtime, which folds, otherwise warns of its own optimiser's limits on stderr."""

fold = cleaner(clean, "polygraphy")
