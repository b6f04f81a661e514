"""Compute a region of row-wise nodes for some rows only: slice what comes in, and let go of what picked them behind it."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from variants.graph import constant
from variants.rewriting.demand import Member, Region
from variants.rewriting.rowwise import RowWise
from variants.rewriting.rowwise_rules import reshape_target


class Early:
    """Of one graph; each tensor at the border of the regions is sliced once."""

    def __init__(self, rowwise: RowWise) -> None:
        self.rowwise, self.wiring, self.rows = rowwise, rowwise.wiring, rowwise.rows
        self._sliced: dict[tuple[int, int], gs.Tensor] = {}

    def moved(self, region: Region) -> int:
        """The number of selections that moved to the front of `region`."""
        made = {id(out) for member in region.members for out in member.node.outputs}
        for member in region.members:
            self._convert(member, made)
        for one in region.selections:
            one.moved(self.wiring, one.node.inputs[0])
        return len(region.selections)

    def _convert(self, member: Member, made: set[int]) -> None:
        node = member.node
        if node.op == "Reshape":
            wanted = reshape_target(self.rowwise, node, member.needed[0], member.axis)
            if isinstance(wanted, list):
                node.inputs[1] = self.wiring.constant(np.array(wanted, np.int64), f"{node.outputs[0].name}/shape")
        for place, axis in member.needed.items():
            if id(node.inputs[place]) not in made:
                node.inputs[place] = self._border(node.inputs[place], axis)
        for out in node.outputs:
            if not out.is_empty():
                self._shrink(out, member.axis)

    def _border(self, tensor: gs.Tensor, axis: int) -> gs.Tensor:
        if (id(tensor), axis) not in self._sliced:
            value = constant(tensor)
            if value is None:
                self._sliced[id(tensor), axis] = self.rows.node(self.wiring, tensor, axis)
            else:
                self._sliced[id(tensor), axis] = self.wiring.constant(self.rows.of(value, axis), f"{tensor.name}/rows")
        return self._sliced[id(tensor), axis]

    def _shrink(self, out: gs.Tensor, axis: int) -> None:
        """It holds something else now, so it has another name, too."""
        shape = self.rowwise.facts.shape(out)
        count = self.rows.count(shape[axis]) if shape is not None else None
        if out.shape is not None and count is not None and axis < len(out.shape):
            out.shape = [count if place == axis else size for place, size in enumerate(out.shape)]
        else:
            out.shape = None
        out.name = self.wiring.name(f"{out.name}/rows")
