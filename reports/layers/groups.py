"""Which part of a transformer a layer belongs to: by its type first, then by the module in its name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from reports.layers.found import Described

OPERATORS = {
    "LayerNorm": "LayerNormalization SkipLayerNormalization SimplifiedLayerNormalization SkipSimplifiedLayerNormalization",
    "GELU": "Gelu FastGelu BiasGelu QuickGelu QGelu Erf",
    "attention": "Softmax Attention MultiHeadAttention QAttention GroupQueryAttention",
    "convolution": "Conv FusedConv QLinearConv ConvInteger ConvTranspose NhwcFusedConv",
    "reformat / copy": "Transpose Concat Split Slice Gather Expand Pad Tile Identity Cast ReorderInput ReorderOutput Memcpy MemcpyFromHost "
    "MemcpyToHost Where",
    "Q/DQ": "QuantizeLinear DequantizeLinear DynamicQuantizeLinear",
    "elementwise": "Add Sub Mul Div Pow Sqrt Neg Abs Exp Log Relu LeakyRelu PRelu Elu Clip Sigmoid HardSigmoid HardSwish Tanh Min Max Sum "
    "Reciprocal Equal Less Greater And Or Not QLinearAdd QLinearMul",
    "shape": "Shape Reshape Squeeze Unsqueeze Flatten ConstantOfShape Range Constant",
}
GROUP_OF = {operator: group for group, operators in OPERATORS.items() for operator in operators.split()}
PRODUCT = re.compile(r"(MatMul|Gemm)")
MODULES = (
    ("LayerNorm", re.compile(r"(^|[/._])(layer_?norm|norm|ln)[\d_a-z]*([/._]|$)", re.IGNORECASE)),
    ("GELU", re.compile(r"(^|[/._])(gelu|act)([/._]|$)", re.IGNORECASE)),
    ("attention", re.compile(r"(^|[/._])(self_)?att(entio)?n([/._]|$)", re.IGNORECASE)),
)


def group(name: str, layer: Described, inside: Sequence[str]) -> str:
    """One of reports.layers.layer.GROUPS. A product of two activations is attention, one with a weight is not."""
    if PRODUCT.search(layer.type):
        return "attention" if layer.weighted is False else "matrix product"
    known = GROUP_OF.get(layer.type, "other")
    if known not in ("elementwise", "other"):
        return known
    return next((found for found, pattern in MODULES if pattern.search(name)), known)
