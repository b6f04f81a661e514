"""The one mask that an attention operator takes, from all that an exporter does to the scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from variants.matching.attention import Attention, Heads
from variants.matching.attention_parts import Parts
from variants.matching.attention_terms import SURELY_HIDDEN, Term, scaled
from variants.symbolic.infer import Shape, broadcast
from variants.symbolic.sizes import sized

Aligned = tuple[gs.Tensor, Shape]
"""A tensor of four dimensions and its shape."""


class Masks:
    """Makes masks for the operators of one graph; layers with the same mask share it."""

    def __init__(self, parts: Parts, opset: int) -> None:
        self.parts, self.wiring, self.opset = parts, parts.wiring, opset

    def mask(self, match: Attention, hidden: float | None) -> gs.Tensor | None:
        """[1 or batch, 1 or heads, queries, keys]; None where nothing is masked.

        With `hidden` None a condition, true where a key counts, if that says it all. Else what is added to the scores:
        `hidden` (-inf for None) where a key does not count.
        """
        if not match.terms:
            return None
        lengths = [str(size) for size in match.shape[-2:]]
        key = ("mask", hidden, len(match.shape), *lengths, str(match.query.source.dtype), *(term.key for term in match.terms))
        return self.parts.once(key, lambda: self._spread(*self._mask(match, hidden), match))

    def over_keys(self, match: Attention, terms: tuple[Term, ...]) -> gs.Tensor:
        """[batch, keys], added to the scores of every query and head; `terms` are the match's, with one query and one head."""
        bias, shape = self._mask(replace(match, terms=terms), -inf)
        flat = self._axes("Squeeze", bias, [1, 2])
        if (shape[0], shape[-1]) == (match.shape[0], match.shape[-1]):
            return flat
        lengths = [self._dimension(match.query, 0), self._dimension(match.key, -2)]
        target = self.wiring.node("Concat", lengths, f"{flat.name}/lengths", np.int64, axis=0)
        return self.wiring.node("Expand", [flat, target], f"{flat.name}/spread", flat.dtype)

    def hidden_rows(self, match: Attention, mask: gs.Tensor, hidden: float, flat: bool) -> gs.Tensor:
        """[batch, 1, queries, 1], or 1 for batch or queries, without heads if `flat`: true where all keys are hidden.

        In an added mask, those at or below `hidden` are.
        """
        rows = self.parts.once(("rows", id(mask), match.nan), lambda: self._hidden_rows(match, mask, hidden))
        return self.parts.once(("flat rows", id(rows)), lambda: self._axes("Squeeze", rows, [1])) if flat else rows

    def _hidden_rows(self, match: Attention, mask: gs.Tensor, hidden: float) -> gs.Tensor:
        dtype = match.query.source.dtype
        hard = [term for term in match.terms if term.hides]
        if match.nan and len(hard) < len(match.terms):
            most = self._most(mask, dtype)
            limit = self.wiring.constant(np.array(hidden, dtype), "attention/limit")
            return self.wiring.node("LessOrEqual", [most, limit], f"{mask.name}/rows", np.bool_)
        shown, _ = self._shown(hard, len(match.shape))
        counted = self.wiring.node("Cast", [shown], f"{shown.name}/counted", np.float32, to=onnx.TensorProto.FLOAT)
        some = self.wiring.node("Cast", [self._most(counted, np.float32)], f"{shown.name}/some", np.bool_, to=onnx.TensorProto.BOOL)
        return self.wiring.node("Not", [some], f"{shown.name}/rows", np.bool_)

    def _mask(self, match: Attention, hidden: float | None) -> Aligned:
        rank, dtype = len(match.shape), match.query.source.dtype
        soft = [self._added(term, rank, dtype) for term in match.terms if not term.hides]
        hard = [term for term in match.terms if term.hides]
        if hard and not soft and hidden is None:
            return self._shown(hard, rank)
        bias, shape = soft[0] if soft else (self._number(0.0, dtype), ())
        for other, its in soft[1:]:
            bias, shape = self.wiring.node("Add", [bias, other], f"{bias.name}/sum", dtype), self._common(shape, its)
        if hard:
            shown, its = self._shown(hard, rank)
            least = self._number(-inf if hidden is None else hidden, dtype)
            bias, shape = self.wiring.node("Where", [shown, bias, least], f"{shown.name}/mask", dtype), self._common(shape, its)
        return bias, shape

    def _added(self, term: Term, rank: int, dtype: Any) -> Aligned:
        """A term that leaves a row that it hides whole its mean: by a number that is not the least, which ONNX Runtime takes for -inf."""
        tensor, shape = self._aligned(term.tensor, rank)
        if term.fill is not None:
            sides = [self._number(max(term.fill, SURELY_HIDDEN), dtype), self._number(0.0, dtype)]
            return self.wiring.node("Where", [tensor, *sides[:: 1 if term.when else -1]], f"{tensor.name}/filled", dtype), shape
        if self._times_the_least(term.tensor):
            tensor = self.wiring.node("Max", [tensor, self._number(SURELY_HIDDEN, dtype)], f"{tensor.name}/not_least", dtype)
        if term.factor != 1:
            tensor = self.wiring.node("Mul", [tensor, self._number(term.factor, dtype)], f"{tensor.name}/scaled", dtype)
        return tensor, shape

    def _times_the_least(self, tensor: gs.Tensor) -> bool:
        """(1 - mask) * least, as transformers wrote it for years."""
        node = self.wiring.producer(tensor, "Mul")
        scalar = scaled(self.parts.facts, node) if node is not None else None
        return scalar is not None and scalar[1] < SURELY_HIDDEN and np.isfinite(scalar[1])

    def _shown(self, hard: Sequence[Term], rank: int) -> Aligned:
        """Where keys count by all of the conditions."""
        (shown, shape), *others = [self._one_shown(term, rank) for term in hard]
        for other, its in others:
            shown, shape = self.wiring.node("And", [shown, other], f"{shown.name}/and", np.bool_), self._common(shape, its)
        return shown, shape

    def _one_shown(self, term: Term, rank: int) -> Aligned:
        tensor, shape = self._aligned(term.tensor, rank)
        if not term.when:
            return tensor, shape
        return self.parts.once(("not", id(tensor)), lambda: self.wiring.node("Not", [tensor], f"{tensor.name}/shown", np.bool_)), shape

    def _aligned(self, tensor: gs.Tensor, rank: int) -> Aligned:
        """With four dimensions; where heads are part of the batch (`rank` 3), one for heads."""
        shape = self.parts.facts.shape(tensor) or ()
        axes = [1] if rank == len(shape) == 3 else list(range(4 - len(shape)))
        padded = (sized(1),) * (rank - len(shape)) + shape
        padded = (padded[0], sized(1), *padded[1:]) if rank == 3 else padded
        return (self.parts.once(("aligned", id(tensor), rank), lambda: self._axes("Unsqueeze", tensor, axes)) if axes else tensor), padded

    def _spread(self, mask: gs.Tensor, shape: Shape, match: Attention) -> gs.Tensor:
        """ONNX Runtime takes no mask with a dimension of one in place of queries or keys."""
        if shape[-2:] == match.shape[-2:]:
            return mask
        queries, keys = match.shape[-2].number, match.shape[-1].number
        if queries is not None and keys is not None:
            target: gs.Tensor = self.wiring.constant(np.array([queries, keys], np.int64), f"{mask.name}/lengths")
        else:
            lengths = [self._dimension(match.query, -2), self._dimension(match.key, -2)]
            target = self.wiring.node("Concat", lengths, f"{mask.name}/lengths", np.int64, axis=0)
        return self.wiring.node("Expand", [mask, target], f"{mask.name}/spread", mask.dtype)

    def _dimension(self, one: Heads, axis: int) -> gs.Tensor:
        """A dimension of [batch, heads, length, size], as a vector of one."""
        shape = self.wiring.node("Shape", [one.source], f"{one.source.name}/shape", np.int64)
        place = self.wiring.constant(np.array([one.order[axis]], np.int64), f"{one.source.name}/axis")
        return self.wiring.node("Gather", [shape, place], f"{one.source.name}/length", np.int64, axis=0)

    def _most(self, tensor: gs.Tensor, dtype: Any) -> gs.Tensor:
        """The largest over the last axis, which stays."""
        if self.opset < AXES_ARE_INPUTS:
            return self.wiring.node("ReduceMax", [tensor], f"{tensor.name}/most", dtype, axes=[-1], keepdims=1)
        axes = self.wiring.constant(np.array([-1], np.int64), f"{tensor.name}/axes")
        return self.wiring.node("ReduceMax", [tensor, axes], f"{tensor.name}/most", dtype, keepdims=1)

    def _axes(self, op: str, tensor: gs.Tensor, axes: Sequence[int]) -> gs.Tensor:
        """Squeeze or Unsqueeze as they are from opset 13 on."""
        given = self.wiring.constant(np.array(axes, np.int64), f"{tensor.name}/axes")
        return self.wiring.node(op, [tensor, given], f"{tensor.name}/{op.lower()}d", tensor.dtype)

    def _number(self, value: float, dtype: Any) -> gs.Tensor:
        return self.wiring.constant(np.array(value, dtype), "attention/number")

    def _common(self, left: Shape, right: Shape) -> Shape:
        return broadcast(self.parts.facts, [left, right]) or ()


AXES_ARE_INPUTS = 18
"""The opset from which on ReduceMax takes its axes as an input."""
