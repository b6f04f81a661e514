"""Find a residual sum and the LayerNorm of it: what transformers have twice in every block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_graphsurgeon as gs

from variants.explain import decline
from variants.graph import constant
from variants.matching.layernorm_parts import producer, readers
from variants.matching.norms import Norm, norms
from variants.symbolic.infer import Facts, Shape, infer


@dataclass(frozen=True, slots=True)
class SkipNorm:
    """norm.output = LayerNorm(x + skip + bias), `total` being that sum; `bias` is [columns] and constant, or None.

    `x` has the shape of the sum, `skip` the same or, where `broadcast`, one without the batch. `kept` says whether something
    besides the norm reads the sum; `adds` are the nodes that make it, the last one last; `rank` is the number of its axes.
    """

    norm: Norm
    x: gs.Tensor
    skip: gs.Tensor
    bias: gs.Tensor | None
    adds: tuple[gs.Node, ...]
    kept: bool
    broadcast: bool
    rank: int

    @property
    def total(self) -> gs.Tensor:
        """The sum."""
        return self.norm.source


def find(graph: gs.Graph) -> Iterator[SkipNorm]:
    """Every one in the main graph, a sum with one norm only; near misses are declined with the reason."""
    every = list(norms(graph))
    candidates = [norm for norm in every if _is_sum(producer(norm.source))]
    if not candidates:
        return
    facts, taken = infer(graph), set[int]()
    here = {id(node) for node in graph.nodes} - {id(node) for norm in every for node in norm.nodes}  # a norm's own bias stays in it
    for norm in candidates:
        add = producer(norm.source)
        assert add is not None
        if id(add) in taken:
            decline(norm.output.name, "another LayerNorm of the same sum is fused with it already")
        elif (found := _match(graph, norm, add, facts, here)) is not None:
            taken.add(id(add))
            yield found


def _is_sum(node: gs.Node | None) -> bool:
    return node is not None and node.op == "Add" and not node.domain


def _match(graph: gs.Graph, norm: Norm, add: gs.Node, facts: Facts, here: set[int]) -> SkipNorm | None:
    where = norm.output.name
    if constant(norm.gamma) is None or (norm.beta is not None and constant(norm.beta) is None):
        decline(where, "the weights of the LayerNorm are not constant")
        return None
    if any(_is_bias(tensor) for tensor in add.inputs):
        return None
    parts = _ordered(facts, add)
    if parts is None:
        decline(where, "the two terms of the sum are not known to have the same shape")
        return None
    outputs = {id(tensor) for tensor in graph.outputs}
    x, x_bias, x_add = _biased(facts, parts[0], here, outputs)
    skip, skip_bias, skip_add = (parts[1], None, None) if x_add else _biased(facts, parts[1], here, outputs)
    inside = {id(node) for node in norm.nodes}
    return SkipNorm(
        norm=norm,
        x=x,
        skip=skip,
        bias=skip_bias if x_bias is None else x_bias,
        adds=tuple(node for node in (x_add, skip_add, add) if node is not None),
        kept=id(norm.source) in outputs or any(id(reader) not in inside for reader in readers(norm.source)),
        broadcast=facts.shape(parts[0]) != facts.shape(parts[1]),
        rank=facts.rank(parts[0]) or 0,
    )


def _ordered(facts: Facts, add: gs.Node) -> tuple[gs.Tensor, gs.Tensor] | None:
    """The term with the shape of the sum, and the other: that of the same shape, or one that is the same for the whole batch."""
    first, second = add.inputs
    for one, other in ((first, second), (second, first)):
        if _covers(facts.shape(one), facts.shape(other)) and constant(one) is None:
            return one, other
    return None


def _covers(whole: Shape | None, part: Shape | None) -> bool:
    if whole is None or part is None or len(whole) < 2:
        return False
    return whole == part or (len(whole) == 3 and whole[1:] == part[-2:] and (len(part) == 2 or (len(part) == 3 and part[0].number == 1)))


def _is_bias(tensor: gs.Tensor) -> bool:
    value = constant(tensor) if tensor.shape is None or len(tensor.shape) < 2 else None
    return value is not None and value.ndim < 2


def _biased(facts: Facts, tensor: gs.Tensor, here: set[int], outputs: set[int]) -> tuple[gs.Tensor, gs.Tensor | None, gs.Node | None]:
    """A term without the constant for each column that a linear layer adds to it, that constant, and the node that adds it."""
    node = producer(tensor)
    if node is None or not _is_sum(node) or id(node) not in here or len(tensor.outputs) != 1 or id(tensor) in outputs:
        return tensor, None, None
    shape = facts.shape(tensor)
    for given, bias in (node.inputs, node.inputs[::-1]):
        if shape and _is_bias(bias) and facts.shape(bias) == shape[-1:] and facts.shape(given) == shape:
            return given, bias, node
    return tensor, None, None
