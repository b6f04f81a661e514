"""onnxslim: constant folding, common sub-expressions and operator fusions."""

from __future__ import annotations

import onnx

from variants.graph_pass import cleaner


def clean(model: onnx.ModelProto) -> onnx.ModelProto:
    """onnxslim's default optimisation."""
    from onnxslim import slim

    cleaned: onnx.ModelProto = slim(model)
    return cleaned


onnxslim = cleaner(clean, "onnxslim")
