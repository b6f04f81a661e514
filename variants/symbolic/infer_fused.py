"""The shapes of what passes fuse: onnx's own inference says nothing behind operators that are not ONNX's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_graphsurgeon as gs

from variants.plugin_pass import NAMESPACE
from variants.symbolic.infer import Facts, Shape
from variants.symbolic.infer_shapes import Rule

CONTRIB = "com.microsoft"


def _first(facts: Facts, node: gs.Node) -> Sequence[Shape | None]:
    return [facts.shape(node.inputs[0]), *[None] * (len(node.outputs) - 1)]


def _skip_layernorm(facts: Facts, node: gs.Node) -> Sequence[Shape | None]:
    """The norm first and the sum last, fourth or, where it is a plugin, second; mean and deviation between."""
    shape = facts.shape(node.inputs[0])
    return [shape if place in (0, 1 if node.domain == NAMESPACE else 3) else None for place in range(len(node.outputs))]


def _attention(facts: Facts, node: gs.Node) -> Sequence[Shape | None]:
    """Queries [..., length, width], values [..., keys, width of the values]; packed forms have no values of their own."""
    query = facts.shape(node.inputs[0])
    value = facts.shape(node.inputs[2]) if len(node.inputs) > 2 and not node.inputs[2].is_empty() else None
    rest = [None] * (len(node.outputs) - 1)
    if query is None or value is None or len(query) != len(value):
        return [None, *rest]
    grouped = len(query) == 3 and node.attrs.get("q_num_heads") != node.attrs.get("kv_num_heads")
    return [(*query[:-1], facts.unknown() if grouped else value[-1]), *rest]


PLUGINS = "layernorm layernorm_affine gelu swish softmax softmax_masked attention attention_masked"
FUSED: Mapping[str, Mapping[str, Rule]] = {
    "": {"Attention": _attention},
    CONTRIB: {
        **dict.fromkeys(("BiasGelu", "FastGelu", "Gelu", "QuickGelu"), _first),
        "SkipLayerNormalization": _skip_layernorm,
        "MultiHeadAttention": _attention,
    },
    NAMESPACE: {**dict.fromkeys(PLUGINS.split(), _first), **dict.fromkeys(("skip_layernorm", "skip_layernorm_keep"), _skip_layernorm)},
}
"""By domain and operator; ONNX's Attention too, whose sizes onnx's inference loses behind a computed Reshape."""
