"""Attention as torch itself exports it today: every one is found, and computes the same."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from functools import cache

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.backends.onnxruntime import onnxruntime as on_onnxruntime
from bench.backends.tensorrt_rtx import tensorrt_rtx as on_rtx
from bench.passes import find, refusal
from tests.variants.graphs import operators, run
from variants.passes.fold_key_transpose import fold_key_transpose
from variants.passes.fuse_attention import fuse_attention


class Scaled(nn.Module):
    """scaled_dot_product_attention over 2 heads of 8."""

    def __init__(self, causal: bool = False) -> None:
        super().__init__()
        self.causal = causal

    def forward(self, query: Tensor, key: Tensor, mask: Tensor | None = None) -> Tensor:
        q, k = (one.view(one.size(0), -1, 2, 8).transpose(1, 2) for one in (query, key))
        mixed = functional.scaled_dot_product_attention(q, k, k * 2, attn_mask=mask, is_causal=self.causal)
        return mixed.transpose(1, 2).reshape(query.size(0), -1, 16)


class Multi(nn.Module):
    """nn.MultiheadAttention; with its weights asked for it folds heads into the batch."""

    def __init__(self, weights: bool) -> None:
        super().__init__()
        self.attention, self.weights = nn.MultiheadAttention(16, 2, batch_first=True), weights

    def forward(self, query: Tensor, memory: Tensor, hidden: Tensor | None = None) -> Tensor:
        mixed: Tensor = self.attention(query, memory, memory, key_padding_mask=hidden, need_weights=self.weights)[0]
        return mixed


class Layer(nn.Module):
    """A decoder layer, causal and looking at a memory."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerDecoderLayer(16, 2, 32, batch_first=True)

    def forward(self, query: Tensor, memory: Tensor) -> Tensor:
        made: Tensor = self.layer(query, memory, tgt_mask=nn.Transformer.generate_square_subsequent_mask(query.size(1)))
        return made


def _hidden() -> Tensor:
    hidden = torch.zeros(2, 7, dtype=torch.bool)
    hidden[:, 5:] = True
    return hidden


QUERY, MEMORY = torch.randn(2, 5, 16, generator=torch.manual_seed(1)), torch.randn(2, 7, 16, generator=torch.manual_seed(2))
EXPORTS: dict[str, tuple[nn.Module, tuple[Tensor, ...], int]] = {
    "scaled": (Scaled(), (QUERY, MEMORY), 1),
    "scaled, boolean mask": (Scaled(), (QUERY, MEMORY, torch.ones(2, 1, 5, 7).tril(3).bool()), 1),
    "scaled, float mask": (Scaled(), (QUERY, MEMORY, torch.ones(2, 1, 5, 7).tril(3)), 1),
    "scaled, causal": (Scaled(causal=True), (QUERY, QUERY), 1),
    "multi-head": (Multi(weights=False), (QUERY, MEMORY), 1),
    "multi-head, hidden keys": (Multi(weights=False), (QUERY, MEMORY, _hidden()), 1),
    "multi-head, weights asked for": (Multi(weights=True), (QUERY, MEMORY), 1),
    "multi-head, weights asked for, hidden keys": (Multi(weights=True), (QUERY, MEMORY, _hidden()), 1),
    "decoder layer": (Layer(), (QUERY, MEMORY), 2),
}


@cache
def exported(name: str, opset: int) -> onnx.ModelProto:
    module, given, _ = EXPORTS[name]
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), given, file, opset_version=opset, dynamo=False)  # type: ignore[arg-type]
    return onnx.load_from_string(file.getvalue())


@pytest.mark.parametrize(("option", "opset"), [("onnx", 14), ("ort", 18)])
@pytest.mark.parametrize("name", EXPORTS)
def test_all_attention_of_a_torch_export_is_fused(name: str, opset: int, option: str) -> None:
    before, (_, given, count) = exported(name, opset), EXPORTS[name]
    after, rewrites = fuse_attention.at(option).run(before)
    assert (rewrites, Counter(operators(after))["Softmax"]) == (count, 0)
    onnx.checker.check_model(after, full_check=True)
    fed = {value.name: tensor.numpy() for value, tensor in zip(before.graph.input, given, strict=True)}
    (wanted,), (got,) = run(before, fed).values(), run(after, fed).values()
    np.testing.assert_allclose(got, wanted, 1e-4, 1e-5)


def test_scaled_dot_product_attentions_keys_lose_their_factor() -> None:
    before = exported("scaled", 18)
    after, rewrites = fold_key_transpose.run(before)
    assert (rewrites, Counter(operators(before))["Mul"] - Counter(operators(after))["Mul"]) == (1, 1)


def test_a_backend_without_onnx_runtimes_operators_refuses_that_option_alone() -> None:
    assert find("fuse_attention:ort").value.domain == "com.microsoft"
    assert refusal(["fuse_attention:ort"], on_rtx)
    assert not refusal(["fuse_attention:onnx"], on_rtx)
    assert not refusal(["fuse_attention:ort"], on_onnxruntime)
