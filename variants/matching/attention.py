"""Find attention, softmax(scale * q k^T + mask) v, in the forms in which exporters write it out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from variants.explain import decline
from variants.graph import constant
from variants.matching.attention_terms import SURELY_HIDDEN, Term, condition_of, number_of, passes, scaled
from variants.symbolic.infer import Facts, Shape
from variants.symbolic.sizes import Size

MIXED = "its softmax and products have other element types, or unknown ones: TensorRT's Attention takes one"
"""TensorRT-RTX 1.7: "Setting softmax precision is not supported in TensorRT Attention"."""


@dataclass(frozen=True, slots=True)
class Heads:
    """One operand: the axes of `source` in this `order` are [batch, heads, length, size], or [batch, length, size] without heads."""

    source: gs.Tensor
    order: tuple[int, ...]
    shape: Shape


@dataclass(frozen=True, slots=True)
class Attention:
    """One match: output = softmax(scale * query key^T + terms) value.

    `zeroed`: rows whose keys are all hidden are zeros, else they are NaN; `nan`: found as such, not by the conditions that
    hide.
    `shape` is that of the scores, [batch, heads, queries, keys] or [batch, queries, keys]; `last` the product with the values.
    """

    query: Heads
    key: Heads
    value: Heads
    scale: float
    terms: tuple[Term, ...]
    zeroed: bool
    nan: bool
    shape: Shape
    softmax: gs.Node
    last: gs.Node

    @property
    def output(self) -> gs.Tensor:
        """[batch, heads, queries, size of a value]."""
        return self.last.outputs[0]

    @property
    def heads(self) -> int | None:
        """How many; 1 where they are part of the batch."""
        return 1 if len(self.shape) == 3 else self.shape[1].number


@dataclass(frozen=True, slots=True)
class Scores:
    """What the softmax reads, taken apart: factor * product + terms."""

    product: gs.Node
    factor: float
    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Weights:
    """What becomes of the softmax: `last` multiplies it by the values; `conditions` write zero into it, `nan` where it is NaN."""

    last: gs.Node
    conditions: tuple[Term, ...]
    nan: bool


class Finder:
    """Looks for attention in one graph; bodies of Ifs and Loops are not entered."""

    def __init__(self, graph: gs.Graph, facts: Facts) -> None:
        self.graph, self.facts = graph, facts
        self.here = {id(node) for node in graph.nodes}
        self.outputs = {id(tensor) for tensor in graph.outputs}

    def found(self) -> Iterator[Attention]:
        """Every match, in the graph's order; near misses are declined."""
        for node in list(self.graph.nodes):
            if node.op == "Softmax" and not node.domain and (match := self._match(node)):
                yield match

    def _match(self, softmax: gs.Node) -> Attention | None:
        weights = self._weights(softmax)
        every = list(self._scores(softmax.inputs[0], 1.0, ()))
        if not self._last_axis(softmax) or (not every and not isinstance(weights, Weights)):
            return None
        reasons = ["what it reads is no product of queries and keys alone"]
        for scores in every:
            match = self._joined(softmax, scores, weights) if isinstance(weights, Weights) else weights
            if isinstance(match, Attention):
                return match
            reasons.append(match)
        decline(softmax.name or softmax.outputs[0].name, reasons[1 if every else 0])
        return None

    def _joined(self, softmax: gs.Node, scores: Scores, weights: Weights) -> Attention | str:
        """The match, or why it is none."""
        query, query_factor = self._operand(scores.product.inputs[0])
        turned, key_factor = self._operand(scores.product.inputs[1])
        value, _ = self._operand(weights.last.inputs[1], scalars=False)
        if query is None or turned is None or value is None or len({len(one.shape) for one in (query, turned, value)}) != 1:
            return "queries, keys and values are of unknown shape, or differ in rank"
        rank = len(query.shape)
        if rank not in (3, 4):
            return f"queries of {rank} dimensions"
        key = replace(turned, order=_swapped(turned.order), shape=_swapped(turned.shape))
        if not query.shape[:-2] == key.shape[:-2] == value.shape[:-2]:
            return "that queries, keys and values have the same batch and heads is not known"
        # The product with the values says that there are as many weights a row as values: only a mask could widen a single key to that.
        if scores.terms and key.shape[-2] != value.shape[-2] and key.shape[-2].number is not None:
            return "that there are as many keys as values is not known"
        masked = self.facts.shape(softmax.inputs[0])
        if scores.terms and (masked is None or masked[:-1] != query.shape[:-1]):
            return "that the mask leaves the scores' shape as it is is not known"
        shape = (*query.shape[:-1], key.shape[-2])
        scale = scores.factor * query_factor * key_factor
        kinds = {str(one.dtype) for one in (softmax.inputs[0], query.source, key.source, value.source)}
        why = self._why_not(scores.terms, weights, query) if len(kinds) == 1 and "None" not in kinds else MIXED
        if why:
            return why
        zeroed = bool(weights.conditions or weights.nan)
        return Attention(query, key, value, scale, scores.terms, zeroed, weights.nan, shape, softmax, weights.last)

    def _why_not(self, terms: tuple[Term, ...], weights: Weights, query: Heads) -> str:
        """Why a mask, or what is done to the weights, is no part of an operator; "" where it is."""
        hidden = {term.key[:1] + term.key[3:] for term in terms if term.hides}
        if any(term.key[:1] + term.key[3:] not in hidden for term in weights.conditions):
            return "its weights are changed after the softmax by what does not mask the scores"
        if weights.nan and not terms:
            return "its weights are searched for NaN and there is no mask"
        for term in terms:
            shape = self.facts.shape(term.tensor)
            if shape is None:
                return "the rank of a mask is not known"
            if term.fill is not None and not term.hides and not term.fill <= SURELY_HIDDEN:
                return f"a mask writes {term.fill:g} over scores: where it hides a whole row, adding it would give another result"
            if term.fill is None and term.tensor.dtype != query.source.dtype:
                return "its mask has another element type than its queries"
            by_head = len(query.shape) == 4 and len(shape) > 2 and shape[-3].number != 1
            if by_head and (weights.nan or (weights.conditions and term.hides)):
                return "its mask differs from head to head, and hidden rows are zeros"
        return ""

    def _last_axis(self, softmax: gs.Node) -> bool:
        axis = softmax.attrs.get("axis", -1 if self.graph.opset >= 13 else 1)
        rank = self.facts.rank(softmax.inputs[0])
        return bool(axis == -1 or (rank is not None and axis == rank - 1))

    def _weights(self, softmax: gs.Node) -> Weights | str:
        """Where they go, or why that is not to values alone."""
        tensor, nan = softmax.outputs[0], False
        conditions: list[Term] = []
        while True:
            readers = list({id(node): node for node in tensor.outputs}.values())
            guarded = self._nan_guard(tensor, readers)
            node = guarded or (readers[0] if len(readers) == 1 else None)
            if node is None or id(tensor) in self.outputs or id(node) not in self.here:
                return "its weights are read elsewhere"
            if node.op == "MatMul":
                values = node.inputs[0] is tensor and node.inputs[1] is not tensor
                return Weights(node, tuple(conditions), nan) if values else "its weights are no left factor of a product"
            term = self._written_over(node, tensor) if node.op == "Where" and not guarded else None
            if term is not None and term.fill == 0:
                conditions.append(term)
            elif not guarded and not passes(node):
                return f"its weights go through {node.op}"
            nan = nan or guarded is not None
            tensor = node.outputs[0]

    def _nan_guard(self, tensor: gs.Tensor, readers: list[gs.Node]) -> gs.Node | None:
        """The Where of Where(IsNaN(weights), 0, weights)."""
        if sorted(node.op for node in readers) != ["IsNaN", "Where"]:
            return None
        test, where = sorted(readers, key=lambda node: node.op)
        asked = where.inputs[0] is test.outputs[0] and len(test.outputs[0].outputs) == 1 and id(test.outputs[0]) not in self.outputs
        return where if asked and number_of(self.facts, where.inputs[1]) == 0 and where.inputs[2] is tensor else None

    def _scores(self, tensor: gs.Tensor, factor: float, terms: tuple[Term, ...]) -> Iterator[Scores]:
        """Every way of taking the scores apart: of a sum of two products, either may be that of queries and keys."""
        node = tensor.inputs[0] if len(tensor.inputs) == 1 else None
        if node is None or node.domain or id(node) not in self.here or len(tensor.outputs) != 1 or id(tensor) in self.outputs:
            return
        scalar = scaled(self.facts, node)
        if node.op == "MatMul":
            if all(constant(side) is None or len(side.shape) > 2 for side in node.inputs):  # else a projection
                yield Scores(node, factor, terms)
        elif passes(node):
            yield from self._scores(node.inputs[0], factor, terms)
        elif scalar is not None and scalar[1] > 0:
            yield from self._scores(scalar[0], factor * scalar[1], terms)
        else:
            for rest, term in self._masked(node, factor):
                yield from self._scores(rest, factor, (*terms, term))

    def _masked(self, node: gs.Node, factor: float) -> Iterator[tuple[gs.Tensor, Term]]:
        """The scores under a mask, and the mask."""
        if node.op == "Add":
            for rest, added in (node.inputs, node.inputs[::-1]):
                yield rest, self._added(added, factor)
        elif node.op == "Where":
            for rest in node.inputs[1:]:
                term = self._written_over(node, rest)
                if term is not None and term.fill is not None:
                    yield rest, replace(term, fill=term.fill * factor)

    def _added(self, tensor: gs.Tensor, factor: float) -> Term:
        """0 here and a number that surely hides there is a condition; anything else is a tensor."""
        node = tensor.inputs[0] if len(tensor.inputs) == 1 else None
        if node is not None and node.op == "Where":
            yes, no = (number_of(self.facts, side) for side in node.inputs[1:])
            if yes is not None and no is not None and max(yes, no) == 0 and min(yes, no) <= SURELY_HIDDEN:
                return Term(condition_of(node.inputs[0]), fill=min(yes, no) * factor, when=no == 0)
        return Term(tensor, factor)

    def _written_over(self, where: gs.Node, tensor: gs.Tensor) -> Term | None:
        """The number that a Where writes over `tensor`, and when."""
        condition, yes, no = where.inputs
        if (tensor is yes) == (tensor is no):
            return None
        fill = number_of(self.facts, no if tensor is yes else yes)
        return None if fill is None or np.isnan(fill) else Term(condition_of(condition), fill=fill, when=tensor is no)

    def _operand(self, tensor: gs.Tensor, scalars: bool = True) -> tuple[Heads | None, float]:
        """What is behind Transposes and, for queries and keys, behind factors; and the product of those."""
        order: tuple[int, ...] | None = None
        factor = 1.0
        while len(tensor.inputs) == 1 and id(tensor.inputs[0]) in self.here:
            node = tensor.inputs[0]
            scalar = scaled(self.facts, node) if scalars else None
            if node.op == "Identity":
                tensor = node.inputs[0]
            elif scalar is not None:
                tensor, factor = scalar[0], factor * scalar[1]
            elif node.op == "Transpose" and "perm" in node.attrs:
                perm = node.attrs["perm"]
                order = tuple(perm[axis] for axis in order) if order else tuple(perm)
                tensor = node.inputs[0]
            else:
                break
        shape = self.facts.shape(tensor)
        if shape is None or (order is not None and len(order) != len(shape)):
            return None, factor
        order = order or tuple(range(len(shape)))
        return Heads(tensor, order, tuple(shape[axis] for axis in order)), factor


def _swapped(sizes: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*sizes[:-2], sizes[-1], sizes[-2])


def find(graph: gs.Graph, facts: Facts) -> Iterator[Attention]:
    """Every attention of the main graph by structure alone; `facts` are of the same graph. Doubtful ones are declined."""
    return Finder(graph, facts).found()


def number(size: Size) -> int:
    """A dimension that must be known. Raises ValueError where it is not."""
    if size.number is None:
        raise ValueError(f"{size} is not a number")
    return size.number
