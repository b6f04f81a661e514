"""Replace attention with heads of 64 by the TensorRT plugin node of one kernel version.

softmax(scale * q k^T) v        -> attention(q, k, v; version, scale), all [batch, heads, length, 64]
softmax(scale * q k^T + mask) v -> attention_masked(q, k, v, mask; version, scale), mask [batch, length] added over the keys
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
import onnx_graphsurgeon as gs

from variants.explain import decline
from variants.graph import exported, shaped, with_opset
from variants.matching.attention import Attention, find
from variants.matching.attention_mask import Masks
from variants.matching.attention_parts import Parts
from variants.matching.attention_terms import Term
from variants.matching.key_masks import KeyMasks
from variants.plugin_pass import plugin_node, plugin_pass
from variants.rewriting.rewire import Wiring
from variants.symbolic.infer import infer

OPSET = 17
"""The functions are written with CastLike, an operator since 15, and ReduceMax with its axes as an attribute."""
SIZE = 64
"""Of a head, in every kernel of plugins/attention that is one launch."""

FUNCTIONS = (
    """<domain: "trtbench", opset_import: ["" : 17]>
    attention <version, scale, aot, plugin_namespace> (q, k, v) => (y)
    {
      keys = Transpose <perm = [0, 1, 3, 2]> (k)
      product = MatMul (q, keys)
      factor = Constant <value_float: float = @scale> ()
      factor_as_q = CastLike (factor, q)
      scores = Mul (product, factor_as_q)
      weights = Softmax <axis = -1> (scores)
      y = MatMul (weights, v)
    }""",
    """<domain: "trtbench", opset_import: ["" : 17]>
    attention_masked <version, scale, aot, plugin_namespace> (q, k, v, mask) => (y)
    {
      keys = Transpose <perm = [0, 1, 3, 2]> (k)
      product = MatMul (q, keys)
      factor = Constant <value_float: float = @scale> ()
      factor_as_q = CastLike (factor, q)
      scaled = Mul (product, factor_as_q)
      axes = Constant <value_ints = [1, 2]> ()
      over_keys = Unsqueeze (mask, axes)
      scores = Add (scaled, over_keys)
      weights = Softmax <axis = -1> (scores)
      y = MatMul (weights, v)
    }""",
)


def rewrite(graph: gs.Graph, version: str) -> tuple[gs.Graph, int]:
    """Replace every match of variants/matching/attention.py that a kernel computes; the others are declined."""
    if not any(find(graph, infer(graph))):
        return graph, 0
    if graph.opset < OPSET:
        graph = shaped(exported(with_opset(graph, OPSET)))
    facts = infer(graph)
    matches = list(find(graph, facts))
    parts = Parts(Wiring(graph), facts)
    placer = _Placer(version, parts, Masks(parts, graph.opset), KeyMasks(parts.wiring, facts))
    return graph, sum(placer.place(match) for match in matches)


@dataclass(frozen=True, slots=True)
class _Placer:
    version: str
    parts: Parts
    masks: Masks
    key_masks: KeyMasks

    def place(self, match: Attention) -> bool:
        """False where it was declined."""
        mask = self._mask(match) if match.terms and not _why_not(match) else None
        why = _why_not(match) or ("its mask differs from query to query or from head to head" if match.terms and mask is None else "")
        if why:
            decline(match.softmax.name or match.output.name, why)
            return False
        wiring, output = self.parts.wiring, match.output
        match.last.outputs.clear()
        written = output
        if match.zeroed and mask is not None:
            written = gs.Variable(wiring.name(f"{output.name}/unguarded"), output.dtype)
            rows = self.masks.hidden_rows(match, mask, -inf, flat=False)
            zero = wiring.constant(np.zeros((), match.query.source.dtype), "attention/zero")
            wiring.add(gs.Node("Where", f"{output.name}/Where", {}, [rows, zero, written], [output]))
        given = [self.parts.whole(one) for one in (match.query, match.key, match.value)]
        op, more = ("attention", []) if mask is None else ("attention_masked", [mask])
        wiring.add(plugin_node(op, self.version, [*given, *more], written, scale=match.scale))
        return True

    def _mask(self, match: Attention) -> gs.Tensor | None:
        """[batch, length], added; None where keys are not hidden from all queries alike."""
        narrow = [self.key_masks.narrowed(term.tensor) for term in match.terms]
        known = [one for one in narrow if one is not None]
        if len(known) < len(narrow):
            return None
        for tensor, shape in known:
            self.parts.facts.shapes[id(tensor)] = shape
        terms = tuple(Term(tensor, term.factor, term.fill, term.when) for (tensor, _), term in zip(known, match.terms, strict=True))
        return self.parts.once(("by key", *(term.key for term in match.terms)), lambda: self.masks.over_keys(match, terms))


def _why_not(match: Attention) -> str:
    if len(match.shape) != 4:
        return "its heads are part of the batch"
    if match.query.shape[-1].number != SIZE or match.value.shape[-1].number != SIZE:
        return f"its heads are of {match.query.shape[-1]} and {match.value.shape[-1]}, and the kernels are written for {SIZE}"
    if match.query.shape[2] != match.key.shape[2]:
        return "that there are as many queries as keys is not known, and the kernels take one length"
    if match.nan and not all(term.hides for term in match.terms):
        return "its weights are searched for NaN under a mask that is added"
    return ""


attention_plugin = plugin_pass("attention", rewrite, FUNCTIONS)
