"""Products whose sizes are no multiple of what tensor cores work in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from reports.layers.attribution import nodes_inside
from reports.layers.division import Costs, divide
from reports.layers.finding import Context, Finder, Finding
from reports.layers.findings._layers import cut, is_product, lines, on_gpu, percent, plural, precision, time_of, timed
from reports.layers.layer import Layer
from reports.layers.onnx_graph import Node
from reports.layers.profile import Profile

MULTIPLE = {"FP32": 4, "TF32": 4, "FP16": 8, "BF16": 8, "FP8": 16, "INT8": 32}
"""Elements in 16 bytes (32 for INT8, whose layouts hold 32 channels; 16 is the least): NVIDIA, Deep Learning Performance guide."""
LEAST = 0.05
"""Share of the time of the layers concerned."""
IMAGE = 4
"""Channels up to which an input is an image, for which TensorRT has kernels of its own."""
Size = tuple[str, int]


@dataclass(slots=True)
class _Odd:
    """Layers concerned: what to say of each by rank, their times, and the time that padding would add."""

    words: dict[int, str] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    time: float = 0.0
    padded: float = 0.0

    def add(self, layer: Layer, sizes: Sequence[Size], time: float, where: str = "") -> None:
        multiple = MULTIPLE[precision(layer)]
        odd = [(what, size) for what, size in sizes if size > 1 and size % multiple]
        if not odd:
            return
        if layer.rank not in self.words:
            self.layers.append(layer)
            said = ", ".join(f"{what} {size} is no multiple of {multiple}" for what, size in odd)
            self.words[layer.rank] = f"{said} ({precision(layer)}{where})"
        self.time += time
        self.padded += time * (1 - math.prod(size / (-(-size // multiple) * multiple) for _, size in odd))


def _find(profile: Profile, context: Context) -> Sequence[Finding]:
    if not on_gpu(profile):
        return ()
    found, rest = _Odd(), []
    for layer in timed(profile):
        if precision(layer) not in MULTIPLE:
            continue
        sizes = _sizes(layer) if is_product(layer) else []
        if sizes or context.costs is None:
            found.add(layer, sizes, layer.mean_us or 0.0)
        else:
            rest.append(layer)
    if context.costs is not None:
        _by_graph(rest, profile, context.costs, found)
    total = time_of(profile.layers)
    share = found.time / total if total else 0.0
    if share < LEAST:
        return ()
    return (
        Finding(
            f"Products with sizes off the tensor-core alignment take {percent(share)} of the time ({plural(len(found.layers), 'layer')})",
            (
                *lines(found.layers, profile, found.words),
                f"padding to the next multiple would be {percent(found.padded / found.time)} of it",
            ),
            "If the model is yours, choose channels, heads' widths and padded sequence lengths that are multiples; else pad the "
            "weights with zeros in the graph. What it brings depends on the kernel (a misaligned one may also load in smaller "
            "pieces), so measure; the time shown is that of the whole products, not the gain.",
            found.time,
            share,
        ),
    )


def _by_graph(layers: Sequence[Layer], profile: Profile, costs: Costs, found: _Odd) -> None:
    """Layers that do not show the sizes themselves, as regions of Myelin: by the ONNX nodes inside, their time by the cost model."""
    inside = {layer.rank: places for layer, places in zip(profile.layers, nodes_inside(profile.layers, costs), strict=True)}
    for layer in layers:
        places = inside[layer.rank]
        for place, fraction in zip(places, divide(places, costs, precision(layer)) if places else (), strict=True):
            node = costs.graph.nodes[place]
            found.add(
                layer, _node_sizes(node, costs), fraction * (layer.mean_us or 0.0), f", in {cut(node.name)}; time divided by estimate"
            )


def _node_sizes(node: Node, costs: Costs) -> list[Size]:
    shapes = [costs.graph.values[name].shape if name in costs.graph.values else None for name in (*node.inputs[:2], *node.outputs[:1])]
    if len(shapes) < 3 or any(shape is None or len(shape) < 2 for shape in shapes):
        return []
    first, second, written = (shape or () for shape in shapes)
    if node.type == "Conv" and second[1] == first[1]:
        return [*((("input channels", first[1]),) if first[1] > IMAGE else ()), ("output channels", written[1])]
    if node.type in ("MatMul", "Gemm"):
        return [("inner size", first[-2] if node.transposed else first[-1]), ("outer size", written[-1])]
    return []


def _sizes(layer: Layer) -> list[Size]:
    """The sizes that lie contiguous in memory: channels of a convolution, inner and outer of a matrix product.

    None for a grouped convolution, which seldom runs on tensor cores, and for dynamic shapes.
    """
    if not layer.inputs or not layer.outputs:
        return []
    read, written = layer.inputs[0].shape, layer.outputs[0].shape
    if len(read) < 2 or len(written) < 2 or min(*read, *written) < 1:
        return []
    if "conv" in f"{layer.type} {layer.subtype}".lower() or layer.group == "convolution":
        if _grouped(layer, read[1], written):
            return []
        return [*((("input channels", read[1]),) if read[1] > IMAGE else ()), ("output channels", written[1])]
    return [("inner size", read[-1]), ("outer size", written[-1])]


def _grouped(layer: Layer, channels: int, written: tuple[int, ...]) -> bool:
    """Fewer operations an output than it has input channels."""
    named = "depthwise" in f"{layer.type} {layer.subtype} {layer.tactic}".lower()
    return named or (layer.operations is not None and layer.operations < 2 * math.prod(written) * channels)


alignment = Finder(_find)
