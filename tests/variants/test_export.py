"""The export reads like the network, has a free batch and computes what PyTorch does."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
import torch
from torch import nn

from tests.variants.graphs import opset, run
from variants.export import REFERENCE_BATCH, export, reference
from variants.matching.layernorm import find
from variants.models.vit_digits import vit_digits
from variants.variant import Array, Split, Tensors, Variant, top1_agreement


def test_the_export_is_a_valid_model_at_opset_13(vit: onnx.ModelProto) -> None:
    onnx.checker.check_model(vit, full_check=True)
    assert opset(vit) == 13


def test_inputs_and_outputs_have_their_names_and_a_free_batch(vit: onnx.ModelProto) -> None:
    dims = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*vit.graph.input, *vit.graph.output)}
    assert dims == {"images": ["batch", 1, 32, 32], "logits": ["batch", 10]}


def test_each_of_thirteen_layernorms_is_written_out_as_nine_nodes(vit: onnx.ModelProto) -> None:
    matches = list(find(gs.import_onnx(vit)))
    assert len(matches) == 13
    for match in matches:
        assert [node.op for node in match.nodes] == ["ReduceMean", "Sub", "Pow", "ReduceMean", "Add", "Sqrt", "Div", "Mul", "Add"]
    parts = Counter(node.op_type for node in vit.graph.node if "norm" in node.name and node.op_type != "Constant")
    assert parts == {"ReduceMean": 26, "Sub": 13, "Pow": 13, "Add": 26, "Sqrt": 13, "Div": 13, "Mul": 13}


def test_gelu_is_written_out_with_erf_once_a_block(vit: onnx.ModelProto) -> None:
    assert [node.name for node in vit.graph.node if node.op_type == "Erf"] == [f"/blocks.{i}/mlp/act/Erf" for i in range(6)]


def test_names_carry_the_path_of_the_module(vit: onnx.ModelProto) -> None:
    names = {node.name for node in vit.graph.node}
    assert {"/patch/Conv", "/blocks.0/attn/qkv/MatMul", "/blocks.5/mlp/fc2/MatMul", "/head/Gemm", "/blocks.3/norm2/Sqrt"} <= names
    assert all(names)
    assert len(names) == len(vit.graph.node)


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_onnx_runtime_computes_what_pytorch_does(batch: int, vit: onnx.ModelProto, vit_reference: dict[str, Array]) -> None:
    images = vit_digits.inputs("test")["images"][:batch]
    np.testing.assert_allclose(run(vit, {"images": images})["logits"], vit_reference["logits"][:batch], rtol=1e-4, atol=1e-4)


class TwoHeads(nn.Module):
    def forward(self, left: torch.Tensor, right: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return left + 2 * right, left.relu()


def two_heads(count: int = REFERENCE_BATCH + 7) -> Variant:
    """Two inputs, two outputs, and one more than a whole number of batches."""
    draw = np.random.default_rng(0)
    arrays = {name: draw.normal(size=(count, 3)).astype(np.float32) for name in ("left", "right")}

    def inputs(split: Split) -> Tensors:
        return arrays

    return Variant(TwoHeads, inputs, ("sum", "positive"), "none", top1_agreement, lambda outputs: 0.0, (), opset=17)


def test_a_model_of_several_inputs_and_outputs_keeps_their_names_and_order(tmp_path: Path) -> None:
    variant = two_heads()
    export(variant, tmp_path / "two.onnx")
    graph = onnx.load(tmp_path / "two.onnx")
    assert [v.name for v in graph.graph.input] == ["left", "right"]
    assert [v.name for v in graph.graph.output] == ["sum", "positive"]
    assert opset(graph) == 17
    actual, expected = run(graph, variant.inputs("test")), reference(variant)
    for name in variant.outputs:
        np.testing.assert_allclose(actual[name], expected[name], atol=1e-6)


def test_the_reference_covers_every_test_input_once_and_in_order() -> None:
    variant = two_heads()
    given, found = variant.inputs("test"), reference(variant)
    np.testing.assert_allclose(found["sum"], given["left"] + 2 * given["right"], rtol=1e-6)
    assert found["sum"].dtype == np.float32


def test_two_exports_are_the_same_file(tmp_path: Path) -> None:
    variant = two_heads()
    for name in ("a", "b"):
        export(variant, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
