"""What several findings ask of layers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from reports.layers.inside import operator, pieces
from reports.layers.layer import Layer, Tensor
from reports.layers.profile import Profile

SHOWN = 5
HALF = ("FP16", "BF16")
LOW = (*HALF, "FP8", "INT8", "FP4", "INT4")
FLOATS = ("FP32", "TF32", *LOW)
PRODUCT = re.compile(r"conv|gemm|matrix_?multiply|matmul|fully_?connected|fc$", re.IGNORECASE)
QDQ = ("QuantizeLinear", "DequantizeLinear")


def timed(profile: Profile) -> list[Layer]:
    """Layers that took time; the rest was never launched."""
    return [layer for layer in profile.layers if layer.mean_us]


def time_of(layers: Iterable[Layer]) -> float:
    """Microseconds a run of all together."""
    return math.fsum(layer.mean_us or 0.0 for layer in layers)


def share_of(layers: Iterable[Layer], profile: Profile) -> float:
    """Their fraction of the sum of all layers."""
    total = time_of(profile.layers)
    return time_of(layers) / total if total else 0.0


def us(time: float) -> str:
    """ "12.3 µs"."""
    return f"{time:,.1f} µs" if time < 1000 else f"{time / 1000:,.2f} ms"


def percent(share: float) -> str:
    """ "4.5 %"."""
    return f"{share:.1%}".replace("%", " %")


def lines(layers: Sequence[Layer], profile: Profile, words: dict[int, str] | None = None) -> tuple[str, ...]:
    """The longest layers, one a line with time and share and what `words` says of that rank; then how many are left out."""
    ranked = sorted(layers, key=lambda layer: -(layer.mean_us or 0.0))
    shown = []
    for layer in ranked[:SHOWN]:
        more = (words or {}).get(layer.rank, "")
        shown.append(f"{layer.name}: {us(layer.mean_us or 0.0)} ({percent(share_of([layer], profile))}){', ' + more if more else ''}")
    rest = ranked[SHOWN:]
    return (*shown, *((f"and {len(rest)} more: {us(time_of(rest))}",) if rest else ()))


def on_gpu(profile: Profile) -> bool:
    """False for ONNX Runtime's trace, whose times are of the CPU."""
    return not any("ONNX Runtime" in kind for _, kind in profile.sources)


def is_qdq(layer: Layer) -> bool:
    """Whether it does nothing but quantise or dequantise."""
    names = pieces(layer).names
    return layer.group == "Q/DQ" or (bool(names) and all(operator(name) in QDQ for name in names))


def is_reformat(layer: Layer) -> bool:
    """Whether the engine added it to change a tensor's layout or precision."""
    if is_qdq(layer):
        return False
    return layer.type == "Reformat" or "Reformatting CopyNode" in layer.name or layer.type in ("ReorderInput", "ReorderOutput")


def is_product(layer: Layer) -> bool:
    """Whether it is a matrix product or a convolution, the work of tensor cores."""
    if layer.type in ("NoOp", "Shuffle", "Constant") or is_reformat(layer) or is_qdq(layer):
        return False
    return layer.group in ("matrix product", "convolution") or bool(PRODUCT.search(layer.type))


def precisions(tensors: Iterable[Tensor]) -> list[str]:
    """Of those that hold numbers to compute with, in order."""
    return [tensor.precision for tensor in tensors if tensor.precision in FLOATS]


def precision(layer: Layer) -> str:
    """What it computes in: the precision of its first input; "" where the source is silent."""
    return next(iter(precisions(layer.inputs)), "")
