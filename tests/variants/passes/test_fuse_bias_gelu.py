"""Which biases go into the GELU after them, that the result is the same, and what is left alone."""

from __future__ import annotations

import numpy as np
import pytest

from tests.variants.graphs import equal_outputs, model, node, operators, value
from tests.variants.more_graphs.bias_gelu import B, graphs, layer, sums
from variants.explain import listening
from variants.passes.fuse_bias_gelu import fuse_bias_gelu

FUSED = {"bias and GELU": "BiasGelu", "bias and GELU by tanh": "FastGelu"}


@pytest.mark.parametrize("name", FUSED)
def test_a_linear_layer_s_bias_goes_into_its_gelu(name: str) -> None:
    before = graphs()[name]
    after, rewrites = fuse_bias_gelu.run(before)
    assert rewrites == 1
    assert operators(after) == ["MatMul", FUSED[name]]
    equal_outputs(before, after)
    assert fuse_bias_gelu.run(after) == (after, 0)


@pytest.mark.parametrize("name", [name for name in graphs() if name not in FUSED])
def test_a_sum_that_is_needed_elsewhere_or_adds_no_bias_stays(name: str) -> None:
    before = graphs()[name]
    assert fuse_bias_gelu.run(before) == (before, 0)


def test_a_bias_in_half_precision_goes_in_too() -> None:
    assert fuse_bias_gelu.run(layer(dtype=np.float16))[1] == 1


def test_a_type_without_a_kernel_and_a_width_that_is_not_known_are_declined_with_the_reason() -> None:
    free = model([node("Add", "x b", "s"), node("Gelu", "s", "y")], {"b": B},
                 inputs=[value("x", ("batch", "columns"))], outputs=[value("y", ("batch", "columns"))], opset=20)  # fmt: skip
    with listening() as said:
        assert fuse_bias_gelu.run(free)[1] == fuse_bias_gelu.run(layer(dtype=np.float64))[1] == 0
    assert said == ["s: what the bias is added to is not known to be as wide as the bias", "s: ONNX Runtime has no fused GELU of float64"]


def test_the_bias_of_one_column_that_is_broadcast_over_another_width_stays() -> None:
    assert fuse_bias_gelu.run(sums(B[:1]))[1] == 0
