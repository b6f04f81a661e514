"""What every layout pass is asked of a graph."""

from __future__ import annotations

from collections import Counter

import onnx

from tests.variants.graphs import copy, equal_outputs, operators
from variants.graph_pass import GraphPass

MOVES = ("Transpose", "Squeeze", "Unsqueeze", "Reshape", "Flatten")


def rewritten(graph_pass: GraphPass, before: onnx.ModelProto, rewrites: int, atol: float = 1e-5) -> onnx.ModelProto:
    """The graph after; asserts the count, that nothing is left to do, that it is valid and that it computes the same."""
    after, count = graph_pass.run(copy(before))
    assert count == rewrites
    assert graph_pass.run(copy(after))[1] == 0
    onnx.checker.check_model(after, full_check=True)
    equal_outputs(before, after, atol)
    return after


def moves(graph: onnx.ModelProto) -> dict[str, int]:
    """How many layout nodes of each kind."""
    return {op: count for op, count in sorted(Counter(operators(graph)).items()) if op in MOVES}
