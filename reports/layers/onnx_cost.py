"""What a node of an ONNX graph has to compute and to move, from its shapes: the basis of every divided time."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from reports.layers.onnx_graph import Node, OnnxGraph, Value

MATRIX = frozenset(
    [
        "MatMul",
        "Gemm",
        "Conv",
        "ConvTranspose",
        "Einsum",
        "Attention",
        "MultiHeadAttention",
        "FusedMatMul",
        "MatMulInteger",
        "QLinearMatMul",
        "ConvInteger",
        "QLinearConv",
        "FusedConv",
        "FusedGemm",
        "MatMulNBits",
        "LSTM",
        "GRU",
        "RNN",
    ]
)
"""What runs on tensor cores."""
VIEWS = frozenset(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"))
PER_ELEMENT = MappingProxyType(
    {
        **dict.fromkeys(("LayerNormalization", "InstanceNormalization", "GroupNormalization", "MeanVarianceNormalization"), 8),
        **dict.fromkeys(("Gelu", "FastGelu", "BiasGelu", "QuickGelu", "Erf", "Mish"), 8),
        **dict.fromkeys(("Softmax", "LogSoftmax", "Exp", "Log", "Tanh", "Sigmoid", "Pow", "Sin", "Cos", "Softplus", "Swish"), 5),
        **dict.fromkeys(("RMSNormalization", "SimplifiedLayerNormalization", "HardSwish", "Elu", "Selu", "Celu"), 4),
        **dict.fromkeys(("BatchNormalization", "QuantizeLinear", "DequantizeLinear", "Sqrt", "Div"), 2),
        **dict.fromkeys(("Transpose", "Concat", "Split", "Slice", "Gather", "Expand", "Pad", "Tile", "Cast", "Where"), 0),
    }
)
"""Operations an element that are not 1; exp, erf and division count as the few instructions they become."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Rates that turn operations and bytes into one scale: GB/s of memory, and G operations/s by precision. Only their ratios matter."""

    name: str
    bandwidth: float
    vector: float
    matrix: Mapping[str, float]

    def seconds(self, operations: float, moved: float, precision: str = "", matrix: bool = False) -> float:
        """The longer of computing and moving, in units of 1e-9 s."""
        rate = self.matrix.get(precision, self.matrix["FP32"]) if matrix else self.vector
        return max(operations / rate, moved / self.bandwidth)


A100 = Machine(
    "A100 80 GB SXM",
    bandwidth=2_039,
    vector=19_500,
    matrix=MappingProxyType({"FP32": 156_000, "TF32": 156_000, "FP16": 312_000, "BF16": 312_000, "FP8": 624_000, "INT8": 624_000}),
)
"""Dense peaks of NVIDIA's data sheet (TF32 for FP32; FP8, which it lacks, as INT8): 153 operations a byte at FP16."""

CPU = Machine("one core of a server CPU", bandwidth=10, vector=10, matrix=MappingProxyType({"FP32": 60, "INT8": 120}))
"""Round numbers for AVX2, from ONNX Runtime's times of vit_digits here; see docs/layer-findings.md for how well they divide."""


def is_free(node: Node, graph: OnnxGraph) -> bool:
    """Whether it costs nothing at run time: a view, or computed from constants and shapes alone."""
    return node.type in VIEWS or all(name in graph.static for name in node.outputs)


def operations(node: Node, graph: OnnxGraph) -> int | None:
    """Operations a run (a multiply-add counts two), None where a shape is unknown.

    A Loop's body counts as often as its constant trip count says, once where that is not constant; both branches of an If count.
    """
    if is_free(node, graph):
        return 0
    inside = [inner for inner in graph.nodes if inner.parent == node.name] if node.type in ("Loop", "If", "Scan") else []
    if inside:
        counts = [operations(inner, graph) for inner in inside]
        turns = int(graph.constants.get(node.inputs[0], 1)) if node.type == "Loop" and node.inputs else 1
        return None if None in counts else max(turns, 1) * sum(count or 0 for count in counts)
    inputs = [graph.values.get(name, Value(None)) for name in node.inputs]
    outputs = [graph.values.get(name, Value(None)) for name in node.outputs]
    try:
        return FORMULAS.get(node.type, _elementwise)(node, inputs, outputs)
    except (_Unknown, IndexError, ValueError):
        return None


def bytes_of(name: str, graph: OnnxGraph, bits: int | None = None) -> float | None:
    """Bytes of a tensor, None where its shape is unknown; `bits` is the width of a floating-point element in the engine."""
    value = graph.values.get(name)
    if value is None or value.elements is None:
        return None
    return value.elements * (bits if bits and value.floating else value.bits) / 8


def moved(node: Node, graph: OnnxGraph, bits: int | None = None) -> tuple[float | None, float | None]:
    """Bytes read and written when nothing is fused, None where a shape is unknown; 0 for what is free."""
    if is_free(node, graph):
        return 0.0, 0.0
    read = [bytes_of(name, graph, bits) for name in node.inputs]
    if node.type in ("Gather", "Slice", "GatherElements", "GatherND") and read and node.outputs:
        read[0] = bytes_of(node.outputs[0], graph, bits)  # only what is picked is read
    written = [bytes_of(name, graph, bits) for name in node.outputs]
    return _sum(read), _sum(written)


def _sum(numbers: list[float | None]) -> float | None:
    return None if None in numbers else sum(number or 0.0 for number in numbers)


class _Unknown(Exception):
    pass


def _shape(value: Value) -> tuple[int, ...]:
    if value.shape is None:
        raise _Unknown
    return value.shape


def _product(node: Node, inputs: list[Value], outputs: list[Value]) -> int:
    first = _shape(inputs[0])
    inner = first[-2] if node.transposed else first[-1]
    return 2 * math.prod(_shape(outputs[0])) * inner


def _convolution(node: Node, inputs: list[Value], outputs: list[Value]) -> int:
    """Weights are [output channels, input channels / groups, *kernel]: groups and depthwise are in the shape."""
    weight = inputs[3] if node.type.startswith("QLinear") else inputs[1]
    return 2 * math.prod(_shape(outputs[0])) * math.prod(_shape(weight)[1:])


def _transposed_convolution(node: Node, inputs: list[Value], outputs: list[Value]) -> int:
    return 2 * math.prod(_shape(inputs[0])) * math.prod(_shape(inputs[1])[1:])


def _attention(node: Node, inputs: list[Value], outputs: list[Value]) -> int:
    """Q K^T and P V, each 2 x |Q| x keys; |Q| is batch x heads x queries x width in either layout."""
    return 4 * math.prod(_shape(inputs[0])) * _shape(inputs[1])[-2]


def _einsum(node: Node, inputs: list[Value], outputs: list[Value]) -> int:
    """Every combination of the letters once."""
    terms = re.sub(r"\s", "", node.equation).split("->")[0].split(",")
    if "." in node.equation or len(terms) != len(inputs):
        raise _Unknown
    sizes = {letter: size for term, value in zip(terms, inputs, strict=True) for letter, size in zip(term, _shape(value), strict=False)}
    return 2 * math.prod(sizes.values())


def _recurrent(node: Node, inputs: list[Value], outputs: list[Value]) -> int:
    steps, batch, _ = _shape(inputs[0])
    return 2 * steps * batch * (math.prod(_shape(inputs[1])) + math.prod(_shape(inputs[2])))


def _reduction(node: Node, inputs: list[Value], outputs: list[Value]) -> int:
    return math.prod(_shape(inputs[0]))


def _pooling(node: Node, inputs: list[Value], outputs: list[Value]) -> int:
    return math.prod(_shape(outputs[0])) * node.kernel


def _elementwise(node: Node, inputs: list[Value], outputs: list[Value]) -> int:
    if node.type.startswith(("Reduce", "Arg", "Global", "TopK", "CumSum", "LpNorm")):
        return _reduction(node, inputs, outputs)
    return PER_ELEMENT.get(node.type, 1) * math.prod(_shape(outputs[0]))


FORMULAS: dict[str, Callable[[Node, list[Value], list[Value]], int]] = {
    **dict.fromkeys(("MatMul", "Gemm", "FusedMatMul", "FusedGemm", "MatMulInteger", "QLinearMatMul"), _product),
    **dict.fromkeys(("Conv", "ConvInteger", "FusedConv", "QLinearConv"), _convolution),
    **dict.fromkeys(("Attention", "MultiHeadAttention"), _attention),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _recurrent),
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool"), _pooling),
    "ConvTranspose": _transposed_convolution,
    "Einsum": _einsum,
}
