"""Which part of a network a node belongs to, by its module."""

from __future__ import annotations

import pytest

from reports.layers.parts import group_of, part_of


@pytest.mark.parametrize(
    ("module", "part"),
    [
        ("bert/encoder/layer.0/attention/self/query", "self-attention"),
        ("bert/encoder/layer.0/attention/output/dense", "self-attention"),
        ("bert/encoder/layer.0/output/dense", "MLP"),
        ("transformer/h.0/attn/c_attn", "self-attention"),
        ("model/layers.0/self_attn/q_proj", "self-attention"),
        ("model/layers.0/mlp/up_proj", "MLP"),
        ("decoder/block.0/layer.1/EncDecAttention/q", "cross-attention"),
        ("decoder/block.0/layer.2/DenseReluDense/wi", "MLP"),
        ("blocks/blocks.3/attn/qkv", "self-attention"),
        ("classifier/output", "matrix product"),
        ("pattern/attentive", "matrix product"),
    ],
)
def test_a_product_belongs_to_the_part_its_module_names(module: str, part: str) -> None:
    assert part_of(group_of("MatMul", module), module) == part


@pytest.mark.parametrize(
    ("module", "group"),
    [("h.0/ln_1", "LayerNorm"), ("blocks.0/norm1", "LayerNorm"), ("layers.0/input_layernorm", "LayerNorm"), ("normal", "elementwise")],
)
def test_a_pointwise_node_in_a_norm_is_layernorm_but_a_batch_normalisation_is_not(module: str, group: str) -> None:
    assert group_of("Mul", module) == group
    assert group_of("BatchNormalization", module) == "other"
