"""Constant folding by Polygraphy, shape arithmetic included."""

from __future__ import annotations

import onnx

from variants.graph_pass import cleaner
from variants.heavy_inputs import unfolded


def clean(model: onnx.ModelProto) -> onnx.ModelProto:
    """f(constants) -> constant."""
    import onnxruntime
    from polygraphy.backend.onnx import fold_constants
    from polygraphy.logger import G_LOGGER

    onnxruntime.set_default_logger_severity(ERRORS)
    with G_LOGGER.verbosity(G_LOGGER.CRITICAL):
        # ONNX Runtime's symbolic inference leaves files in the current folder where it cannot finish.
        folded: onnx.ModelProto = fold_constants(model, allow_onnxruntime_shape_inference=False)
    return folded


ERRORS = 3
"""ONNX Runtime, which folds, otherwise warns of its own optimiser's limits on stderr."""

fold = cleaner(clean, "polygraphy", unfolded)
