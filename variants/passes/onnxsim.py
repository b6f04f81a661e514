"""onnx-simplifier: constant folding by executing what is constant."""

from __future__ import annotations

import onnx

from variants.graph_pass import cleaner


def clean(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without its fusions into ONNX Runtime's own operators, which TensorRT's parser refuses.

    Its second result is left out: with a dynamic batch it checks nothing and always says "same".
    """
    from onnxsim import simplify

    cleaned: onnx.ModelProto = simplify(model, skipped_optimizers=list(CONTRIB))[0]
    return cleaned


CONTRIB = ("fuse_attention", "fuse_gqa")
"""Those write com.microsoft.Attention, MultiHeadAttention and GroupQueryAttention."""

onnxsim = cleaner(clean, "onnxsim")
