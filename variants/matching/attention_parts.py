"""What an attention operator is handed: queries, keys and values without the transposes around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from variants.graph import constant
from variants.matching.attention import Heads, number
from variants.rewriting.rewire import Wiring
from variants.symbolic.infer import Facts
from variants.symbolic.sizes import sized

SPLIT = (0, 2, 1, 3)
"""[batch, length, heads, size] <-> [batch, heads, length, size]"""
PACKED = [2, 0, 3, 1, 4]
"""[batch, length, 3, heads, size] -> [3, batch, heads, length, size]"""


@dataclass(slots=True)
class Parts:
    """Makes tensors for the operators of one graph; what several layers share is made once."""

    wiring: Wiring
    facts: Facts
    made: dict[Any, gs.Tensor] = field(default_factory=dict)

    def once(self, key: Any, make: Callable[[], gs.Tensor]) -> gs.Tensor:
        """What `make` gave for this key the first time."""
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]

    def whole(self, one: Heads) -> gs.Tensor:
        """[batch, heads, length, size], or [batch, length, size]: transposed where it is not so already."""
        if one.order == tuple(range(len(one.order))):
            return one.source
        return self.once(("whole", id(one.source), one.order), lambda: self.transposed(one.source, one.order))

    def flat(self, one: Heads) -> gs.Tensor | None:
        """[batch, length, heads * size] without a transpose; None where there would have to be one, or sizes are not known."""
        if len(one.order) == 3:
            return self.whole(one)
        heads, size = one.shape[1].number, one.shape[3].number
        if heads is None or size is None:
            return None
        if one.order == (0, 1, 2, 3):
            return self._piece(one)
        if one.order != SPLIT:
            return None
        reshape = self.wiring.producer(one.source, "Reshape")
        before = self.facts.shape(reshape.inputs[0]) if reshape is not None else None
        if reshape is not None and before is not None and len(before) == 3 and before[:2] == (one.shape[0], one.shape[2]):
            return reshape.inputs[0]
        return self.once(("flat", id(one.source)), lambda: self.reshaped(one.source, (0, 0, heads * size)))

    def flattened(self, one: Heads) -> gs.Tensor:
        """`flat`, by a transpose where it takes one. Raises ValueError where sizes are not known."""
        flat = self.flat(one)
        if flat is not None:
            return flat
        width = number(one.shape[1]) * number(one.shape[3])
        return self.once(("flat", id(one.source)), lambda: self.reshaped(self.transposed(self.whole(one), SPLIT), (0, 0, width)))

    def reshaped(self, tensor: gs.Tensor, shape: Sequence[int], output: gs.Tensor | None = None) -> gs.Tensor:
        """`tensor` reshaped, as `output` if given; 0 copies a dimension."""
        made = output if output is not None else gs.Variable(self.wiring.name(f"{tensor.name}/reshaped"), tensor.dtype)
        target = self.wiring.constant(np.array(shape, np.int64), f"{made.name}/shape")
        self.wiring.add(gs.Node("Reshape", f"{made.name}/Reshape", {}, [tensor, target], [made]))
        return made

    def transposed(self, tensor: gs.Tensor, order: Sequence[int]) -> gs.Tensor:
        """`tensor` with its axes in this order."""
        return self.wiring.node("Transpose", [tensor], f"{tensor.name}/transposed", tensor.dtype, perm=list(order))

    def _piece(self, one: Heads) -> gs.Tensor | None:
        """One of the pieces of [batch, length, 3 * heads * size], where all three were reshaped and transposed at once."""
        place, reshape = self._packed(one.source)
        if reshape is None:
            return None
        whole = reshape.inputs[0]
        before, after = self.facts.shape(whole), self.facts.shape(reshape.outputs[0])
        if after is None or len(after) != 5 or after != (one.shape[0], one.shape[2], after[2], one.shape[1], one.shape[3]):
            return None
        count, width = after[2].number, number(one.shape[1]) * number(one.shape[3])
        if count is None or before != (*after[:2], sized(count * width)):
            return None
        if ("piece", id(whole), 0) not in self.made:
            pieces = [gs.Variable(self.wiring.name(f"{whole.name}/piece"), whole.dtype) for _ in range(count)]
            widths = self.wiring.constant(np.full(count, width, np.int64), f"{whole.name}/widths")
            self.wiring.add(gs.Node("Split", f"{pieces[0].name}/Split", {"axis": 2}, [whole, widths], pieces))
            self.made |= {("piece", id(whole), part): piece for part, piece in enumerate(pieces)}
        return self.made["piece", id(whole), place]

    def _packed(self, tensor: gs.Tensor) -> tuple[int, gs.Node | None]:
        """(which, the Reshape) of a part, taken along axis 0, of Transpose(Reshape(x, [batch, length, 3, heads, size]), PACKED)."""
        node = self.wiring.producer(tensor, "Gather", "Squeeze")
        if node is None:
            return 0, None
        place, whole = (self._gathered if node.op == "Gather" else self._squeezed)(node)
        transpose = self.wiring.producer(whole, "Transpose") if whole is not None else None
        if transpose is None or list(transpose.attrs.get("perm", [])) != PACKED:
            return 0, None
        return place, self.wiring.producer(transpose.inputs[0], "Reshape")

    def _gathered(self, node: gs.Node) -> tuple[int, gs.Tensor | None]:
        place = constant(node.inputs[1])
        if node.attrs.get("axis", 0) != 0 or place is None or place.ndim or place < 0:
            return 0, None
        return int(place), node.inputs[0]

    def _squeezed(self, node: gs.Node) -> tuple[int, gs.Tensor | None]:
        split = self.wiring.producer(node.inputs[0], "Split")
        axes = node.attrs.get("axes") if len(node.inputs) < 2 else constant(node.inputs[1])
        if split is None or split.attrs.get("axis", 0) != 0 or axes is None or list(np.ravel(axes)) != [0]:
            return 0, None
        shape = self.facts.shape(split.inputs[0])
        if shape is None or shape[0] != sized(len(split.outputs)):
            return 0, None
        return [id(output) for output in split.outputs].index(id(node.inputs[0])), split.inputs[0]
