"""What a precision file declares: a transform of the ONNX graph, what it may cost, and how one sees that it happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import onnx

from variants.graph import graphs
from variants.lowering.calibration import Ranges
from variants.lowering.keep import NONE, Keep
from variants.variant import Tensors

MAKES = {("Cast", "to"), ("QuantizeLinear", "output_dtype")}
"""The attributes that name the element type a node makes."""

__all__ = ["NONE", "Apply", "Precision", "carries"]


class Apply(Protocol):
    """What puts a model into a precision; it may not change its argument, nor touch the nodes called `keep`, whose names are unique."""

    def __call__(self, model: onnx.ModelProto, ranges: Ranges, keep: Keep = NONE, /) -> onnx.ModelProto:
        """The model in this precision."""
        ...


@dataclass(frozen=True, slots=True)
class Precision:
    """`apply(model, ranges, keep)` returns the model in this precision; `calibrate(model, inputs)` makes its ranges, where it needs any.

    `dtype` is the ONNX element type (onnx.TensorProto.*) that a graph in this precision must carry. `min_snr_db`,
    `min_agreement` (0..1) and `max_drop` (in the task metric's unit) bound the error against the PyTorch FP32
    reference; `why` is the reason for those bounds.

    `types` are the element types of the parts of a composition beyond `dtype`. `needs` is the smallest compute capability of
    an NVIDIA GPU whose hardware has the type ("8.9"; "" is any), `flags` are the builder flags it asks for ("TF32"),
    `domain` is that of the operators it writes beyond ONNX's own. `at(option)` is the precision written
    `NAME:OPTION`; `options` says what there is, each with its meaning.
    """

    dtype: int
    apply: Apply
    min_snr_db: float
    min_agreement: float
    max_drop: float
    why: str
    calibrate: Callable[[onnx.ModelProto, Tensors], Ranges] | None = None
    distribution: str = ""
    types: tuple[int, ...] = ()
    needs: str = ""
    flags: tuple[str, ...] = ()
    domain: str = ""
    at: Callable[[str], Precision | None] = lambda option: None
    options: str = ""


def carries(model: onnx.ModelProto, dtype: int) -> bool:
    """Whether any parameter of the model, sub-graph bodies included, has this element type, or a Cast or Q produces it."""
    return any(dtype in _dtypes(graph) for graph in graphs(model.graph))


def _dtypes(graph: onnx.GraphProto) -> Iterator[int]:
    yield from (tensor.data_type for tensor in graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t.data_type
            if (node.op_type, attribute.name) in MAKES:
                yield attribute.i
