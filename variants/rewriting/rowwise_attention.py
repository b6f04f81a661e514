"""Attention computes each query's row by itself, from all keys and values: ONNX's and com.microsoft's operators."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from variants.rewriting.rewire import given
from variants.rewriting.rowwise import MICROSOFT, Needed, RowWise, Rule

QUERY, KEY, MASK = 0, 1, 3
PADDING, BIAS = 4, 5
"""Inputs of MultiHeadAttention: which keys are there, and what is added to the scores."""


def _attention(rows: RowWise, node: gs.Node, axis: int) -> Needed | None:
    """Query [batch, heads, rows, size] or [batch, rows, width], mask [..., rows or 1, keys]; nothing carried from run to run."""
    shape = rows.facts.shape(node.inputs[QUERY])
    if shape is None or axis != len(shape) - 2 or node.attrs.get("is_causal", 0) or rows.live(node) != [0]:
        return None
    if any(given(node, place) for place in range(MASK + 1, len(node.inputs))):
        return None
    mask = rows.broadcast(node, (MASK,), 1, shape[axis])
    return None if mask is None else {QUERY: axis} | mask


def _multi_head(rows: RowWise, node: gs.Node, axis: int) -> Needed | None:
    """Query [batch, rows, width], keys and values of their own; which keys are there is said for all queries alike."""
    shape = rows.facts.shape(node.inputs[QUERY])
    if shape is None or len(shape) != 3 or axis != 1 or not given(node, KEY) or not given(node, KEY + 1) or rows.live(node) != [0]:
        return None
    if node.attrs.get("unidirectional", 0) or any(given(node, place) for place in range(BIAS + 1, len(node.inputs))):
        return None
    if given(node, PADDING) and rows.facts.rank(node.inputs[PADDING]) != 2:
        return None
    bias = rows.broadcast(node, (BIAS,), 1, shape[axis])
    return None if bias is None else {QUERY: axis} | bias


ATTENTION: dict[tuple[str, str], Rule] = {("", "Attention"): _attention, (MICROSOFT, "MultiHeadAttention"): _multi_head}
