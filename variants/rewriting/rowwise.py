"""Operators that compute each row of an axis from the same row of their inputs, so that few rows of the result need few of theirs.

A rule says, of a node and an axis of its outputs, along which axis of which inputs the same rows are needed: {input: axis}. What is
not in it is needed whole. None: the node mixes rows, or that is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import onnx_graphsurgeon as gs

from variants.rewriting.rewire import Wiring, given
from variants.rewriting.selection import Rows
from variants.symbolic.infer import Facts
from variants.symbolic.sizes import Size

Needed: TypeAlias = dict[int, int]
Rule: TypeAlias = Callable[["RowWise", gs.Node, int], Needed | None]
MICROSOFT = "com.microsoft"


@dataclass(frozen=True, slots=True)
class RowWise:
    """Asks the `rules`, by domain and operator, of the nodes of one graph; `rows` are those that are needed."""

    wiring: Wiring
    facts: Facts
    rows: Rows
    rules: Mapping[tuple[str, str], Rule]

    def needed(self, node: gs.Node, axis: int) -> Needed | None:
        """Of which inputs, along which axis, rows of `axis` of the outputs need the same rows; None where they need others."""
        domain = "" if node.domain in (None, "ai.onnx") else node.domain
        rule = self.rules.get((domain, node.op))
        found = rule(self, node, axis) if rule is not None else None
        return found or None

    def live(self, node: gs.Node) -> list[int]:
        """The outputs that something reads."""
        return [place for place, out in enumerate(node.outputs) if out.outputs or id(out) in self.wiring.kept]

    def size(self, node: gs.Node, axis: int) -> Size | None:
        """Of an axis of the first output that is read."""
        shape = self.facts.shape(node.outputs[self.live(node)[0]])
        return shape[axis] if shape is not None and axis < len(shape) else None

    def broadcast(self, node: gs.Node, places: Sequence[int], behind: int, size: Size | None) -> Needed | None:
        """Of inputs that are broadcast against each other: `behind` axes come after the one of `size`. One of size 1 serves every row."""
        needed: Needed = {}
        for place in (place for place in places if given(node, place)):
            shape = self.facts.shape(node.inputs[place])
            if shape is None or size is None:
                return None
            own = len(shape) - 1 - behind
            if own >= 0 and shape[own] == size:
                needed[place] = own
            elif own >= 0 and shape[own].number != 1:
                return None
        return needed
