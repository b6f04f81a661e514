"""Whether two runs gave the same numbers, and the first tensor of a graph where they do not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from bench.pass_run import CannotRunError, run
from variants.graph import graphs
from variants.variant import Array, Tensors

AT_ONCE = 100
"""Tensors taken out of one run: all of a big model's at once would not fit into memory."""
FP32, FP16, COARSE = 1e-4, 1e-2, 5e-2
"""Of a tensor's largest magnitude. The same fp32 arithmetic in another order leaves under 1e-5 on the families of variants/models;
16 bits round at 1e-3; bfloat16 rounds, and a quantiser jumps by a level, at 1 %."""


def tolerance(model: onnx.ModelProto) -> float:
    """By the coarsest arithmetic in the graph that the pass was given."""
    types = {tensor.data_type for graph in graphs(model.graph) for tensor in graph.initializer}
    types |= {value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output, *model.graph.value_info)}
    operators = {node.op_type for graph in graphs(model.graph) for node in graph.node}
    if onnx.TensorProto.BFLOAT16 in types or operators & {"QuantizeLinear", "DynamicQuantizeLinear"}:
        return COARSE
    return FP16 if onnx.TensorProto.FLOAT16 in types else FP32


def difference(expected: Array, actual: Array, allowed: float) -> str:
    """In words; "" where both are the same: integers and truths exactly, others within `allowed` of the largest magnitude."""
    if expected.shape != actual.shape or expected.dtype.kind != actual.dtype.kind:
        return f"{_kind(expected)} became {_kind(actual)}"
    if not expected.size:
        return ""
    if expected.dtype.kind not in "fV":
        wrong = int(np.sum(expected != actual))
        return f"{wrong} of {expected.size} elements differ" if wrong else ""
    was, now = expected.astype(np.float64), actual.astype(np.float64)
    finite = np.isfinite(was)
    strange = int(np.sum(~finite & ~((was == now) | (np.isnan(was) & np.isnan(now)))) + np.sum(finite & ~np.isfinite(now)))
    if strange:
        return f"{strange} of {expected.size} elements became or were NaN or infinite"
    if not finite.any():
        return ""
    largest, peak = (float(np.abs(values).max()) for values in (was[finite] - now[finite], was[finite]))
    if largest <= allowed * max(peak, TINY):
        return ""
    return f"off by up to {largest:.3g} where the largest value is {peak:.3g}"


TINY = 1e-6
"""A tensor of zeros need not be zero to the last bit."""


def first_difference(before: Path, after: Path, feeds: Sequence[Tensors], allowed: float) -> tuple[str, str] | None:
    """The first tensor, in the order of the graph after, that both graphs have under the same name and that differs.

    None where no tensor but the outputs does, or the graphs do not run with more outputs.
    """
    known = set(_computed(before))
    shared = [name for name in _computed(after) if name in known]
    for some in (shared[start : start + AT_ONCE] for start in range(0, len(shared), AT_ONCE)):
        try:
            was, now = run(before, feeds[0], some), run(after, feeds[1], some)
        except CannotRunError:
            return None
        for name in some:
            if name in was and name in now and (found := difference(was[name], now[name], allowed)):
                return name, found
    return None


def _computed(path: Path) -> list[str]:
    return [name for node in onnx.load(path, load_external_data=False).graph.node for name in node.output if name]


def _kind(array: Array) -> str:
    return f"{array.dtype} {list(array.shape)}"
