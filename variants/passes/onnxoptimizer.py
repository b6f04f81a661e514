"""onnx-optimizer's fuse and eliminate passes."""

from __future__ import annotations

import onnx

from variants.graph_pass import cleaner
from variants.heavy_inputs import mere_operands


def clean(model: onnx.ModelProto) -> onnx.ModelProto:
    """Its default set: dead ends, no-ops, consecutive transposes, bias and batch-norm fusions."""
    import onnxoptimizer

    cleaned: onnx.ModelProto = onnxoptimizer.optimize(model, onnxoptimizer.get_fuse_and_elimination_passes())
    return cleaned


onnxoptimizer = cleaner(clean, "onnxoptimizer", mere_operands)
