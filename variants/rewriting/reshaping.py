"""What a Reshape comes to: whether its target means the same for another tensor of the same elements, and a target that shapes give.

Tensors without elements are left out of account: there a size that is computed may be a 0 by chance.
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from variants.graph import constant
from variants.rewriting.rewire import Wiring
from variants.symbolic.infer import Facts, Shape
from variants.symbolic.sizes import Size

SAME_ORDER = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")
"""Operators that leave the elements in their order."""


def reshaped(wiring: Wiring, facts: Facts, source: gs.Tensor, node: gs.Node) -> bool:
    """Make `node` one Reshape of `source`, whose elements it has: by its own target, or by one that the shapes give."""
    own = independent(facts, facts.shape(source), node)
    if own and constant(node.inputs[1]) is not None:
        node.inputs[0] = source
        return True
    sizes = target(facts.shape(source), facts.shape(node.outputs[0]))
    if sizes is not None:
        node.op, node.attrs = "Reshape", {}
        node.inputs = [source, wiring.constant(np.array(sizes, np.int64), f"{node.outputs[0].name}/shape")]
        return True
    if own:
        node.inputs[0] = source
        return True
    return False


def independent(facts: Facts, before: Shape | None, node: gs.Node) -> bool:
    """Whether `node` is a Reshape whose target means the same for a tensor of the shape `before` with the same elements."""
    if node.op != "Reshape":
        return False
    if node.attrs.get("allowzero", 0):
        return True
    sizes, between = facts.value(node.inputs[1]), facts.shape(node.inputs[0])
    if sizes is None:
        return False
    return all(_nonzero(size, before) or _copied(place, before, between) for place, size in enumerate(sizes.reshape(-1)))


def _copied(place: int, before: Shape | None, between: Shape | None) -> bool:
    if before is None or between is None:
        return False
    return place < len(before) and place < len(between) and before[place] == between[place]


def _nonzero(size: Size, source: Shape | None) -> bool:
    """Whether a size is no 0: a number, or a product of dimensions that the source has, which is 0 only where it is empty."""
    if size.number is not None:
        return size.number != 0
    present = {name for dimension in source or () for names, _ in dimension.terms for name in names if len(dimension.terms) == 1}
    return all(factor > 0 and names and set(names) <= present for names, factor in size.terms)


def target(source: Shape | None, wanted: Shape | None) -> list[int] | None:
    """`wanted` as the constant target of a Reshape of `source`: numbers, 0 for the same dimension, at most one -1."""
    if source is None or wanted is None:
        return None
    sizes = [_entry(source, place, size) for place, size in enumerate(wanted)]
    return sizes if sizes.count(-1) <= 1 and not any(size.number == 0 for size in wanted) else None


def _entry(source: Shape, place: int, size: Size) -> int:
    if size.number is not None:
        return size.number
    return 0 if place < len(source) and source[place] == size else -1
