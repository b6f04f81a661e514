"""Find the mask over keys alone in one that an exporter spread over queries, [batch, 1, queries, keys], all rows alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from variants.graph import constant
from variants.rewriting.rewire import Wiring
from variants.symbolic.infer import Facts, Shape

SPREADS = ("Expand", "Identity")
SAME = ("Expand", "Identity", "Cast", "Unsqueeze", "Squeeze", "Reshape")
"""What leaves a condition that always holds as it is."""


@dataclass(frozen=True, slots=True)
class KeyMasks:
    """Narrows masks of one graph."""

    wiring: Wiring
    facts: Facts

    def narrowed(self, tensor: gs.Tensor) -> tuple[gs.Tensor, Shape] | None:
        """What broadcasts to `tensor` and has one query and one head, and its shape of four dimensions; None where keys differ by query."""
        shape = self.facts.shape(tensor)
        if shape is not None and len(shape) == 4 and shape[1].number == shape[2].number == 1:
            return tensor, shape
        node = self.wiring.producer(tensor)
        if node is None:
            return None
        if node.op in SPREADS:
            return self.narrowed(node.inputs[0])
        if node.op == "And":
            return self._both(node)
        if node.op == "Cast" or (node.op == "Where" and all(_single(side) for side in node.inputs[1:])):
            within = self.narrowed(node.inputs[0])
            if within is None:
                return None
            given = [within[0], *node.inputs[1:]]
            return self.wiring.node(node.op, given, f"{tensor.name}/by_key", tensor.dtype, **node.attrs), within[1]
        return None

    def _both(self, node: gs.Node) -> tuple[gs.Tensor, Shape] | None:
        """A condition, where the other side of an And always holds."""
        for side, other in (node.inputs, node.inputs[::-1]):
            if self._holds(other):
                return self.narrowed(side)
        return None

    def _holds(self, tensor: gs.Tensor) -> bool:
        """Whether a condition is true throughout: a place that is counted from 0 is at least 0, as transformers' masks ask."""
        value = constant(tensor)
        if value is not None:
            return bool(value.all())
        node = self.wiring.producer(tensor)
        if node is None:
            return False
        if node.op in SAME:
            return self._holds(node.inputs[0])
        if node.op == "And":
            return all(map(self._holds, node.inputs))
        if node.op == "ConstantOfShape":
            fill = node.attrs.get("value")
            return fill is not None and bool(np.asarray(getattr(fill, "values", fill)).all())
        if node.op != "GreaterOrEqual":
            return False
        least, bound = self._least(node.inputs[0]), constant(node.inputs[1])
        return least is not None and bound is not None and bool((least >= bound).all())

    def _least(self, tensor: gs.Tensor) -> int | None:
        """The smallest element of what is counted up."""
        node = self.wiring.producer(tensor)
        if node is None:
            return None
        if node.op in SAME:
            return self._least(node.inputs[0])
        start, step = (constant(node.inputs[place]) for place in (0, 2)) if node.op == "Range" else (None, None)
        return int(start) if start is not None and step is not None and step > 0 else None


def _single(tensor: gs.Tensor) -> bool:
    value = constant(tensor)
    return value is not None and value.size == 1
