"""An export that does not compute what PyTorch does never leaves its stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from bench.export_check import refuse_difference
from common.errors import UserError
from variants.export import export
from variants.shapes import inputs_at
from variants.variant import Sizes, Split, Tensors, Variant, top1_agreement


class Sums(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.cumsum(1) * 2


class BakesTheLength(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.linspace(1, 2, int(x.shape[1]))


class CountsInPython(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / len(range(x.shape[1]))


SETTINGS: tuple[Sizes, ...] = ({"batch": 1, "sequence": 6}, {"batch": 2, "sequence": 4}, {"batch": 3, "sequence": 9})


def variant(module: Callable[[], nn.Module]) -> Variant:
    def inputs(split: Split) -> Tensors:
        return {"x": np.random.default_rng(0).normal(1, 1, (5, 6)).astype(np.float32)}

    return Variant(
        module, inputs, ("y",), "none", top1_agreement, None, (), axes={"x": {1: "sequence"}, "y": {1: "sequence"}},
        ranges={"sequence": (2, 6, 12)}, check_shapes=SETTINGS,
    )  # fmt: skip


def checked(of: Variant, path: Path) -> None:
    refuse_difference(of, export(of, path, 4), path, 4)


def test_an_export_that_agrees_on_every_shape_passes(tmp_path: Path) -> None:
    checked(variant(Sums), tmp_path / "x.onnx")


def test_a_length_that_was_baked_in_is_found_at_another_length(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^the export does not run at batch 2, sequence 4: "):
        checked(variant(BakesTheLength), tmp_path / "x.onnx")


def test_a_number_that_was_baked_in_is_named_with_its_tensor_and_error(tmp_path: Path) -> None:
    expected = (
        r"^the export differs from PyTorch at batch 2, sequence 4: output 'y' has signal-to-noise 9.5 dB, 80 needed, and is off by up to "
    )
    with pytest.raises(UserError, match=expected):
        checked(variant(CountsInPython), tmp_path / "x.onnx")


def test_a_static_export_has_no_free_dimension_and_is_checked_at_its_own_shape(tmp_path: Path) -> None:
    fixed = replace(variant(CountsInPython), dynamic=False)
    checked(fixed, tmp_path / "x.onnx")
    values = (*onnx.load(tmp_path / "x.onnx").graph.input, *onnx.load(tmp_path / "x.onnx").graph.output)
    assert [[d.dim_value for d in v.type.tensor_type.shape.dim] for v in values] == [[4, 6], [4, 6]]


def test_an_input_that_the_network_does_not_read_is_named(tmp_path: Path) -> None:
    class ReadsOne(nn.Module):
        def forward(self, x: torch.Tensor, spare: torch.Tensor) -> torch.Tensor:
            return x * 2

    both = variant(ReadsOne)
    array = both.inputs("test")["x"]
    with pytest.raises(UserError, match="the export has no input 'spare'"):
        checked(replace(both, inputs=lambda split: {"x": array, "spare": array}), tmp_path / "x.onnx")


def test_inputs_of_another_shape_are_cut_or_repeated() -> None:
    of = variant(Sums)
    whole = of.inputs("test")["x"]
    np.testing.assert_array_equal(inputs_at(of, {"batch": 2, "sequence": 4})["x"], whole[:2, :4])
    longer = inputs_at(of, {"batch": 7, "sequence": 8})["x"]
    np.testing.assert_array_equal(longer[5:, 6:], whole[:2, :2])


def test_a_shape_outside_its_range_is_refused() -> None:
    with pytest.raises(UserError, match=r"^sequence 13 is outside its range of 2 to 12; choose one inside it$"):
        inputs_at(variant(Sums), {"batch": 1, "sequence": 13})
