"""Which part of a transformer a layer belongs to: by its type first, then by the module in its name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from reports.layers.layer import Layer

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


@dataclass(frozen=True, slots=True)
class Timing:
    """One layer as its source timed it: mean and median microseconds a run, `calls` a run.

    `weighted` unless both factors of a product are activations.
    """

    name: str
    type: str
    mean_us: float
    median_us: float
    calls: int = 1
    weighted: bool = True


def group(timing: Timing) -> str:
    """One of reports.layers.layer.GROUPS. A product of two activations is attention, one with a weight is not."""
    if PRODUCT.search(timing.type):
        return "matrix product" if timing.weighted else "attention"
    known = GROUP_OF.get(timing.type, "other")
    if known not in ("elementwise", "other"):
        return known
    return next((name for name, pattern in MODULES if pattern.search(timing.name)), known)


def rank(timings: Iterable[Timing]) -> tuple[Layer, ...]:
    """Slowest first by mean; shares are of the sum of all, so they add up to 1."""
    ordered = sorted(timings, key=lambda timing: (-timing.mean_us, timing.name))
    total = sum(timing.mean_us for timing in ordered) or 1.0
    ranked, cumulative = [], 0.0
    for number, timing in enumerate(ordered, 1):
        share = timing.mean_us / total
        cumulative += share
        ranked.append(
            Layer(
                rank=number,
                name=timing.name,
                type=timing.type,
                group=group(timing),
                mean_us=timing.mean_us,
                median_us=timing.median_us,
                share=share,
                cumulative=cumulative,
                calls=timing.calls,
            )
        )
    return tuple(ranked)
