"""Which axis is the batch, and what the other free dimensions measure."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from common.errors import UserError
from tests.variants.own.models import CLASSIFIER, saved
from variants.own.known import Given, know
from variants.own.layout import Layout


def laid_out(folder: Path, text: str, **dims: int) -> Layout:
    return know(saved(folder, text), Given(dims=dims)).layout


def test_a_batch_by_name_is_free_and_the_rest_has_the_size_that_goes_with_its_name(tmp_path: Path) -> None:
    text = "m (int64[batch, sequence] a, float[batch, frames, 80, H] b, float[batch, odd] c) => (float[batch, s] y) { y = Identity (c) }"
    found = laid_out(tmp_path, text)
    assert found == Layout(True, None, {"sequence": 128, "frames": 200, "H": 224, "odd": 16})


def test_a_name_that_all_first_axes_share_is_the_batch(tmp_path: Path) -> None:
    assert laid_out(tmp_path, "m (float[s0, 3] a, float[s0, s1] b) => (float[s0, 3] y) { y = Identity (a) }").batched
    assert laid_out(tmp_path, "m (float[?, 3] a, float[?, 4] b) => (float[?, 3] y) { y = Identity (a) }").batched


def test_a_fixed_batch_is_the_only_one(tmp_path: Path) -> None:
    assert laid_out(tmp_path, "m (float[4, 3] a, float[4, 5] b) => (float[4, 3] y) { y = Identity (a) }").only == 4


@pytest.mark.parametrize(
    "text",
    [
        "m (float[sequence, batch, 3] a) => (float[sequence, batch, 3] y) { y = Identity (a) }",
        "m (float[sequence, 3] a) => (float[sequence, 3] y) { y = Identity (a) }",
        "m (float[3, 4] a, float[4, 3] b) => (float[3, 3] y) { y = MatMul (a, b) }",
        "m (float[n, 3] a, float s) => (float[n, 3] y) { y = Mul (a, s) }",
        "m (float[n, n] a) => (float[n, n] y) { y = Identity (a) }",
        "m (float[n, 3] a) => (float y) { y = ReduceSum <keepdims = 0> (a) }",
        "m (float[batch, 3] a) => (float[found, 3] y) { y = Identity (a) }",
    ],
)
def test_where_the_first_axis_is_not_the_batch_of_all_every_run_is_whole(tmp_path: Path, text: str) -> None:
    assert not laid_out(tmp_path, text).batched


def test_a_batch_that_the_user_sets_is_the_only_one(tmp_path: Path) -> None:
    found = laid_out(tmp_path, CLASSIFIER, batch=3, W=32)
    assert (found.batched, found.only, found.sizes["W"], found.sizes["H"]) == (False, 3, 32, 224)


def test_a_sum_follows_its_terms(tmp_path: Path) -> None:
    path = saved(tmp_path, "m (float[batch, total] mask, float[batch, past] x) => (float[batch, past] y) { y = Identity (x) }")
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "past + 2"
    onnx.save(model, path)
    own = know(path, Given(dims={"past": 5}))
    assert [own.shape(port, 1) for port in own.inputs] == [(1, 7), (1, 5)]


def test_a_size_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="more than a gigabyte; set smaller dimensions with --dim"):
        laid_out(tmp_path, CLASSIFIER, H=1_000_000)
