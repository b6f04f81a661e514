"""What torch's own exporter writes for norms and activations, fused: the modules themselves, not graphs made by hand."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from tests.variants.arithmetic import normal
from tests.variants.graphs import equal_outputs, operators, opset, run
from variants.passes.fuse_gelu import fuse_gelu
from variants.passes.fuse_layernorm import fuse_layernorm
from variants.passes.swish_plugin import swish_plugin


def exported(module: torch.nn.Module, path: Path, version: int, half: bool = False) -> onnx.ModelProto:
    """As TorchScript's exporter writes it: x -> y, both [batch, 4, 8]."""
    x = torch.rand(2, 4, 8)
    module, x = (module.half(), x.half()) if half else (module, x)
    free = {name: {0: "batch"} for name in ("x", "y")}
    given = {"opset_version": version, "dynamo": False, "input_names": ["x"], "output_names": ["y"], "dynamic_axes": free}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), (x,), str(path / "m.onnx"), **given)  # type: ignore[arg-type]
    return onnx.load(path / "m.onnx")


def same(before: onnx.ModelProto, after: onnx.ModelProto, half: bool) -> None:
    if not half:
        return equal_outputs(before, after)
    x = {"x": normal((3, 4, 8), np.float16)}
    return np.testing.assert_allclose(run(after, x)["y"], run(before, x)["y"], atol=0.01)


@pytest.mark.parametrize(
    "given",
    [{}, {"elementwise_affine": False}, {"bias": False}, {"normalized_shape": (4, 8)}],
    ids=["with weights", "without weights", "without bias", "over two axes"],
)
@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
@pytest.mark.parametrize("version", [13, 17, 18])
def test_a_layernorm_is_one_operator_at_every_opset(given: dict[str, Any], half: bool, version: int, tmp_path: Path) -> None:
    graph = exported(torch.nn.LayerNorm(**({"normalized_shape": 8} | given)), tmp_path, version, half)
    after, rewrites = fuse_layernorm.run(graph)
    assert rewrites == (1 if version == 13 else 0)
    assert operators(after).count("LayerNormalization") == 1
    assert not {"ReduceMean", "Sqrt", "Div"} & set(operators(after))
    assert opset(after) >= 17
    same(graph, after, half)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
@pytest.mark.parametrize("version", [13, 17, 18, 20])
def test_a_gelu_is_one_operator_at_every_opset(approximate: str, half: bool, version: int, tmp_path: Path) -> None:
    graph = exported(torch.nn.GELU(approximate=approximate), tmp_path, version, half)
    after, rewrites = fuse_gelu.run(graph)
    assert rewrites == (1 if version < 20 else 0)
    assert operators(after) == ["Gelu"]
    same(graph, after, half)


def test_a_variance_by_torch_var_makes_a_layernorm_too(tmp_path: Path) -> None:
    class Written(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x - x.mean(-1, keepdim=True)) * torch.rsqrt(x.var(-1, keepdim=True, unbiased=False) + 1e-6)

    graph = exported(Written(), tmp_path, 13)
    after, rewrites = fuse_layernorm.run(graph)
    assert (rewrites, operators(after)) == (1, ["LayerNormalization"])
    equal_outputs(graph, after)


@pytest.mark.parametrize("version", [13, 17])
def test_a_silu_becomes_the_swish_kernel(version: int, tmp_path: Path) -> None:
    graph = exported(torch.nn.SiLU(), tmp_path, version)
    after, rewrites = swish_plugin.at("v2_vector").run(graph)
    assert (rewrites, operators(after)) == (1, ["swish"])
    equal_outputs(graph, after)


@pytest.mark.parametrize("version", [13, 17])
def test_every_norm_and_activation_of_a_stack_is_found(version: int, tmp_path: Path) -> None:
    from torch.nn import GELU, LayerNorm, Linear, Sequential

    mlp = [LayerNorm(8), Linear(8, 16), GELU(), Linear(16, 8)]
    stack = Sequential(*mlp, LayerNorm(8), Linear(8, 8), GELU(approximate="tanh"), LayerNorm(8, elementwise_affine=False))
    graph = exported(stack, tmp_path, version)
    after, _ = fuse_gelu.run(fuse_layernorm.run(graph)[0])
    modules = [type(module) for module in stack.modules()]
    assert operators(after).count("LayerNormalization") == modules.count(LayerNorm)
    assert operators(after).count("Gelu") == modules.count(GELU)
    equal_outputs(graph, after)
