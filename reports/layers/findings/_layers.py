"""What several findings ask of layers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from reports.layers.inside import operator, pieces
from reports.layers.layer import Layer, Tensor
from reports.layers.profile import Profile

SHOWN = 5
LONGEST_NAME = 100
PROFILER_US = (1.0, 8.0)
"""What the profiler adds to each layer: 1.5 to 7.5 µs in the 13 public profiles that also hold the samples of whole runs."""
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
        share = percent(share_of([layer], profile))
        shown.append(f"{named(layer)}: {us(layer.mean_us or 0.0)} ({share}){', ' + more if more else ''}")
    rest = ranked[SHOWN:]
    return (*shown, *((f"and {len(rest)} more: {us(time_of(rest))}",) if rest else ()))


def named(layer: Layer) -> str:
    """The layer's name, a long one cut in the middle, and its type where the name does not tell it."""
    return cut(layer.name) + (f" [{layer.type}]" if layer.type and layer.type[:4].lower() not in layer.name.lower() else "")


def cut(name: str) -> str:
    """At most LONGEST_NAME characters, cut in the middle."""
    half = LONGEST_NAME // 2
    return name if len(name) <= LONGEST_NAME else f"{name[:half]} ... {name[-half:]}"


def plural(number: int, thing: str) -> str:
    """ "1 layer", "2 layers"."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def streams(profile: Profile) -> set[int]:
    """Those that layers which took time ran on, as far as the source tells."""
    return {layer.stream for layer in timed(profile) if layer.stream is not None}


def parallel(profile: Profile) -> bool:
    """Whether layers may have run at the same time."""
    return len(streams(profile)) > 1 or any("auxiliary stream" in note for note in profile.notes)


def latency(profile: Profile) -> float | None:
    """Mean microseconds of a whole run, to compare with the sum of layers' means; the source's own number where it has no samples."""
    return math.fsum(profile.latencies_us) / len(profile.latencies_us) if profile.latencies_us else profile.latency_us


def profiler_us(profile: Profile) -> float:
    """What the profiler seems to have added to each layer: the sum's excess over the latency, if it is of the usual size; else 0."""
    whole, layers = latency(profile), timed(profile)
    if not whole or not layers or parallel(profile) or not on_gpu(profile):
        return 0.0
    each = (time_of(layers) - whole) / len(layers)
    return each if PROFILER_US[0] <= each <= PROFILER_US[1] else 0.0


def on_gpu(profile: Profile) -> bool:
    """False for ONNX Runtime's trace, whose times are of the CPU."""
    return not any("ONNX Runtime" in kind for _, kind in profile.sources)


def is_qdq(layer: Layer) -> bool:
    """Whether it does nothing but quantise or dequantise."""
    if layer.group == "Q/DQ" or "uantizeLinear" not in layer.name:
        return layer.group == "Q/DQ"
    names = pieces(layer).names
    return bool(names) and all(operator(name) in QDQ for name in names)


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
