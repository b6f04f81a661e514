"""Which nodes and module a layer came from."""

from __future__ import annotations

import pytest

from reports.layers.ancestry import module, nodes, without_profile

BY_METADATA = {
    "[ONNX Layer: a]\x1e[ONNX Layer: b]": ("a", "b"),
    "[ONNX Layer: a]\x1f[ONNX Layer: b]\x1e": ("a", "b"),
    "[ONNX Layer: a][ONNX Layer: a]": ("a",),
    "[ONNX Layer: x[0]/y]": ("x[0]/y",),
    "": ("name",),
    "something else": ("name",),
}
BY_NAME = {
    "/a/Conv + /a/Relu": ("/a/Conv", "/a/Relu"),
    "w.weight + QuantizeLinear_8 + Conv_12 + PWN(Clip_16)": ("QuantizeLinear_8", "Conv_12", "Clip_16"),
    "PWN(PWN(Sigmoid_10), Mul_11)": ("Sigmoid_10", "Mul_11"),
    "PWN(/a/Erf + /a/Mul(1))": ("/a/Erf", "/a/Mul(1)"),
    "{ForeignNode[/head/Constant_2_output_0.../Unsqueeze_2]}": ("/head/Constant_2_output_0", "/Unsqueeze_2"),
    "Reformatting CopyNode for Input Tensor 0 to Conv_5 + Add_6": (),
    "(Unnamed Layer* 3) [Shuffle]": (),
    "Conv_1 + (Unnamed Layer* 105) [Shuffle]": ("Conv_1",),
    "/fc/Gemm_myl55_1": ("/fc/Gemm",),
    "node_linear_1_2_myl5_3": ("node_linear_1",),
    "__myl_MaxrSubExpSum_myl5_4": (),
    "[trainStation1]": (),
    "Conv_0 [profile 12]": ("Conv_0",),
    "": (),
}
MODULES = {
    ("/encoder/layers.3/attn/MatMul",): "encoder/layers.3/attn",
    ("/a/b/Conv", "/a/b/c/Relu"): "a/b",
    ("/a/Conv", "/b/Conv"): "",
    ("/ab/Conv", "/a/Conv"): "",
    ("Conv_12",): "",
    ("[CONVOLUTION]-[aten_ops.convolution.default]-[/features_0/0/convolution]",): "features_0/0",
    (): "",
}


@pytest.mark.parametrize(("metadata", "expected"), BY_METADATA.items())
def test_metadata_names_the_nodes_where_it_does(metadata: str, expected: tuple[str, ...]) -> None:
    assert nodes("name", metadata) == expected


@pytest.mark.parametrize(("name", "expected"), BY_NAME.items())
def test_a_name_lists_the_nodes_of_what_was_fused(name: str, expected: tuple[str, ...]) -> None:
    assert nodes(name) == expected


@pytest.mark.parametrize(("inside", "expected"), MODULES.items())
def test_the_module_is_what_the_nodes_share(inside: tuple[str, ...], expected: str) -> None:
    assert module(inside) == expected


def test_a_profile_number_is_taken_from_anywhere_in_a_name() -> None:
    assert without_profile("a [profile 12]/b [profile 3]") == "a/b"
