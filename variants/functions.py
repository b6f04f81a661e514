"""The ONNX functions of a model, which onnx's version converter drops."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_graphsurgeon as gs
from onnx import helper

NAMESPACE = "trtbench"
"""ONNX domain of our plugin nodes and of the functions that say what they compute, TensorRT namespace of the plugins.

These functions are written with operators that mean the same at every opset from theirs on.
"""


def carried(functions: Sequence[gs.Function], opset: int) -> list[gs.Function]:
    """`functions` for a graph that was raised to `opset`: our own are of that opset then, the others stay as they are.

    ONNX Runtime refuses a function of another opset than the graph's where an operator of it changed in between.
    """
    made = []
    for function in functions:
        copied = function.copy()
        if function.domain == NAMESPACE:
            copied.opset = opset
            copied.import_domains = [helper.make_opsetid("", opset)]
        made.append(copied)
    return made
