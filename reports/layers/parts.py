"""What a node does in the model: its group, and the coarse part (self-attention, MLP, LayerNorm) that a summary names."""

from __future__ import annotations

import re

from reports.layers.groups import GROUP_OF

PRODUCTS = frozenset(("MatMul", "Gemm", "FusedMatMul", "FusedGemm", "MatMulInteger", "QLinearMatMul", "MatMulNBits", "Einsum"))
OTHER_NORMS = ("BatchNormalization", "InstanceNormalization", "GroupNormalization")
REDUCTIONS = ("Reduce", "Arg")
NORM = re.compile(r"(^|[/._])(layer_?norm\w*|norm\d*|ln_?\w{0,2}|rms_?norm\w*)$", re.IGNORECASE)
CROSS = re.compile(r"(^|[/._])(cross_?att(entio)?n|encoder_attn|EncDecAttention)([/._]|$)", re.IGNORECASE)
ATTENTION = re.compile(r"(^|[/._])(\w*att(entio)?n|SelfAttention)([/._]|$)", re.IGNORECASE)
MLP = re.compile(r"(^|[/._])(mlp|ffn|feed_?forward|intermediate|DenseReluDense)([/._]|$)|layers?[./]\d+/output([/.]|$)", re.IGNORECASE)


def group_of(operator: str, module: str = "", pattern: str = "") -> str:
    """One of GROUPS: the pattern the node is part of, else its operator, else what its module is called."""
    if pattern:
        return pattern
    if operator in PRODUCTS:
        return "matrix product"
    if operator in OTHER_NORMS:
        return "other"
    known = GROUP_OF.get(operator, "elementwise" if operator.startswith(REDUCTIONS) else "other")
    return "LayerNorm" if known in ("elementwise", "other") and NORM.search(module) else known


def part_of(group: str, module: str = "") -> str:
    """The sub-block in the node's module path, LayerNorm wherever it stands; its group where the path names none."""
    if group == "LayerNorm":
        return group
    if CROSS.search(module):
        return "cross-attention"
    if ATTENTION.search(module):
        return "self-attention"
    return "MLP" if MLP.search(module) else group
