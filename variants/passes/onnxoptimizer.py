"""onnx-optimizer's fuse and eliminate passes."""

from __future__ import annotations

import onnx

from variants.graph_pass import cleaner


def clean(model: onnx.ModelProto) -> onnx.ModelProto:
    """Its default set: dead ends, no-ops, consecutive transposes, bias and batch-norm fusions."""
    import onnxoptimizer

    return onnxoptimizer.optimize(model, onnxoptimizer.get_fuse_and_elimination_passes())


onnxoptimizer = cleaner(clean, "onnxoptimizer")
