"""What ranges depend on."""

from __future__ import annotations

import numpy as np
import onnx

from tests.variants.graphs import model, node, value
from variants.fingerprint import fingerprint

WEIGHT = np.eye(8, dtype=np.float32)


def flattened(batch: int, weight: np.ndarray = WEIGHT, op: str = "Relu", axis: int = -1) -> onnx.ModelProto:
    """A model of one fixed batch, which is also in the target of its Reshape."""
    nodes = [node("Reshape", "x target", "r"), node("MatMul", "r w", "p"), node("Softmax", "p", "h", axis=axis), node(op, "h", "y")]
    target = np.array([batch * 4, 8], np.int64)
    return model(nodes, {"target": target, "w": weight}, [value("x", (batch, 4, 8))], [value("y", (batch * 4, 8))])


def test_the_batch_makes_no_difference() -> None:
    assert fingerprint(flattened(1)) == fingerprint(flattened(32))


def test_weights_operators_attributes_and_connections_do() -> None:
    others = [flattened(1, WEIGHT * 2), flattened(1, op="Neg"), flattened(1, axis=0)]
    rewired = flattened(1)
    rewired.graph.node[3].input[0] = "p"
    assert len({fingerprint(graph) for graph in (flattened(1), *others, rewired)}) == 5
