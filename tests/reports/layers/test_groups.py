"""Which part of a transformer an operator belongs to, and how layers are ranked."""

from __future__ import annotations

from typing import Any

import pytest

from reports.layers.ancestry import nodes
from reports.layers.found import Described, Time
from reports.layers.groups import GROUP_OF, PATTERN, group
from reports.layers.layer import GROUPS, Tensor
from reports.layers.rank import rank


def grouped(name: str, kind: str, weighted: bool | None = None) -> str:
    return group(name, Described(name, kind, weighted=weighted), (name,))


def timed(name: str, mean_us: float = 1.0) -> tuple[Time, None]:
    return Time(name, mean_us, mean_us), None


GROUPED = [
    ("/blocks.0/norm1/LayerNormalization", "LayerNormalization", "LayerNorm"),
    ("SkipLayerNorm_AddBias_3", "SkipLayerNormalization", "LayerNorm"),
    ("/blocks.0/norm1/ReduceMean", "ReduceMean", "LayerNorm"),
    ("/blocks.11/norm2/Sqrt", "Sqrt", "LayerNorm"),
    ("/norm/Div", "Div", "LayerNorm"),
    ("/encoder/layer.3/output/LayerNorm/Pow", "Pow", "LayerNorm"),
    ("/h.0/ln_1/Sub", "Sub", "LayerNorm"),
    ("/blocks.0/mlp/act/Erf", "Erf", "GELU"),
    ("/blocks.0/mlp/act/Mul_1", "Mul", "GELU"),
    ("fused gelu", "BiasGelu", "GELU"),
    ("/blocks.0/attn/Softmax", "Softmax", "attention"),
    ("/blocks.0/attn/Mul", "Mul", "attention"),
    ("/layer.0/attention/self/Div", "Div", "attention"),
    ("whole", "MultiHeadAttention", "attention"),
    ("/patch/Conv", "Conv", "convolution"),
    ("conv_nchwc", "FusedConv", "convolution"),
    ("/blocks.0/attn/Transpose", "Transpose", "reformat / copy"),
    ("cast", "Cast", "reformat / copy"),
    ("q", "QuantizeLinear", "Q/DQ"),
    ("/blocks.0/Add", "Add", "elementwise"),
    ("/blocks.0/Reshape", "Reshape", "shape"),
    ("loop", "Loop", "other"),
    ("/planning/Add", "Add", "elementwise"),
    ("/factor/Mul", "Mul", "elementwise"),
]


@pytest.mark.parametrize(("name", "operator", "expected"), GROUPED)
def test_an_operator_goes_by_its_kind_and_else_by_its_module(name: str, operator: str, expected: str) -> None:
    assert grouped(name, operator) == expected


def test_the_digits_that_a_pattern_keeps_are_all_that_tell_operators_apart() -> None:
    assert not [word for word in GROUP_OF if word.encode().translate(PATTERN) != word.encode()]


def test_equal_blocks_of_other_numbers_and_unequal_ones_keep_their_own_groups() -> None:
    for block in ("3", "4", "17", "9999"):
        assert grouped(f"/blocks.{block}/conv2d_{block}", "kgen") == "convolution"
        assert grouped(f"/blocks.{block}/ln_{block}/mul_{block}", "kgen") == "LayerNorm"
        assert grouped(f"/blocks.{block}/fc/mul_{block}", "kgen") == "elementwise"


PRODUCTS = ["MatMul", "Gemm", "FusedMatMul", "FusedGemm", "QLinearMatMul", "MatMulInteger", "DynamicQuantizeMatMul", "MatMulNBits"]


@pytest.mark.parametrize("operator", PRODUCTS)
def test_a_product_by_a_weight_is_a_matrix_product_and_one_of_activations_attention(operator: str) -> None:
    name = "/blocks.0/attn/qkv/MatMul"
    assert grouped(name, operator, weighted=True) == "matrix product"
    assert grouped(name, operator, weighted=False) == "attention"


def test_every_group_an_operator_can_have_is_one_of_the_report() -> None:
    assert set(GROUP_OF.values()) <= set(GROUPS)
    assert {grouped("x", op) for op in [*GROUP_OF, *PRODUCTS, "Add"]} <= set(GROUPS)


def test_layers_are_ranked_slowest_first_and_their_shares_add_up_to_one() -> None:
    ranked = rank([timed("b", 30), timed("c", 60), timed("a", 10)])
    assert [(layer.rank, layer.name) for layer in ranked] == [(1, "c"), (2, "b"), (3, "a")]
    assert [layer.share for layer in ranked] == pytest.approx([0.6, 0.3, 0.1])
    assert [layer.cumulative for layer in ranked] == pytest.approx([0.6, 0.9, 1.0])


def test_equal_layers_come_in_the_order_of_their_names() -> None:
    assert [layer.name for layer in rank([timed("b"), timed("a")])] == ["a", "b"]


def test_layers_that_took_no_time_have_no_share_and_no_layers_no_rank() -> None:
    assert [layer.share for layer in rank([timed("a", 0), timed("b", 0)])] == [0, 0]
    assert rank([]) == ()


def test_a_hundred_thousand_layers_add_up_too() -> None:
    ranked = rank([timed(f"layer {i}", 1 + i % 7) for i in range(100_000)])
    assert ranked[-1].cumulative == pytest.approx(1)
    assert ranked[-1].rank == 100_000


TENSORRT = [
    ("Reformatting CopyNode for Input Tensor 0 to /attn/MatMul", "Reformat", {}, "reformat / copy"),
    ("QuantizeLinear_2", "Reformat", {"origin": "QDQ"}, "Q/DQ"),
    ("Reformatting CopyNode for Output Tensor 0 to x", "NoOp", {}, "reformat / copy"),
    ("squeeze_after_/fc/Gemm", "NoOp", {}, "shape"),
    ("w.weight + QuantizeLinear_8 + Conv_12 + PWN(Clip_16)", "Convolution", {}, "convolution"),
    ("fc.weight + QuantizeLinear_860 + Gemm_864", "Convolution", {}, "matrix product"),
    ("/layer.0/attention/self/MatMul", "gemm", {}, "attention"),
    ("/layer.0/attention/self/query/MatMul", "gemm", {}, "matrix product"),
    ("PWN(PWN(/mlp/act/Erf), /mlp/act/Mul)", "PointWise", {}, "GELU"),
    ("PWN(/block/Add)", "PointWise", {}, "elementwise"),
    ("__myl_MeanSubMulMeanAddSqrtDivMul_myl7_3", "kgen", {}, "LayerNorm"),
    ("__myl_MaxrSubExpSumDivMul_myl7_3", "kgen", {"outputs": (Tensor("s", shape=(1, 12, 128, 128)),)}, "attention"),
    ("__myl_MaxrSubExpSumDivMul_myl7_3", "kgen", {"outputs": (Tensor("s", shape=(1, 10)),)}, "other"),
    ("__myl_ReshTran_myl7_3", "kgen", {}, "reformat / copy"),
    ("dummy_shape_call__mye539_0_myl55_0", "shape_call", {}, "shape"),
    ("fc_predictions/Softmax", "SoftMax", {}, "other"),
    ("/attn/Softmax", "SoftMax", {}, "attention"),
    ("{ForeignNode[/blocks.0/norm1/Pow.../blocks.0/norm1/Div]}", "Myelin", {}, "LayerNorm"),
    ("{ForeignNode[/blocks.0/norm1/Pow.../head/Gemm]}", "Myelin", {}, "other"),
    ("emb", "PluginV2", {"tactic": "CustomSkipLayerNormPluginDynamic"}, "LayerNorm"),
    ("l0", "PluginV2", {"tactic": "CustomQKVToContextPluginDynamic"}, "attention"),
    ("(Unnamed Layer* 8) [Matrix Multiply] + (Unnamed Layer* 11) [Activation]", "", {}, "matrix product"),
    ("[CONVOLUTION]-[aten_ops.convolution.default]-[/f/conv] + [RELU]-[aten_ops.relu.default]-[/f/relu]", "", {}, "convolution"),
    ("node_conv2d_1 + node_relu_1", "", {}, "convolution"),
    ("[trainStation2]", "", {}, "other"),
]


@pytest.mark.parametrize(("name", "kind", "more", "expected"), TENSORRT)
def test_tensorrts_layers_go_by_type_then_by_the_nodes_inside(name: str, kind: str, more: dict[str, Any], expected: str) -> None:
    assert group(name, Described(name, kind, **more), nodes(name)) == expected
