"""Inputs of our making are such as the model could really be given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.errors import UserError
from tests.variants.own.models import CLASSIFIER, TOKENS, saved
from variants.own.known import Given
from variants.own.variant import variant
from variants.variant import Tensors


def made(folder: Path, text: str, **dims: int) -> Tensors:
    return variant(saved(folder, text), Given(dims=dims)).variant.inputs("test")


def test_token_ids_stay_inside_the_table_they_look_up_and_use_all_of_it(tmp_path: Path) -> None:
    ids = made(tmp_path, TOKENS)["input_ids"]
    assert ids.dtype == np.int64
    assert ids.shape[1:] == (128,)
    assert (ids.min(), ids.max()) == (0, 9)


def test_masks_hold_padding_after_what_is_real_and_one_sample_has_none(tmp_path: Path) -> None:
    mask = variant(saved(tmp_path, TOKENS), Given()).variant.inputs("calibration")["attention_mask"]
    assert set(np.unique(mask)) == {0, 1}
    assert (np.diff(mask, axis=1) <= 0).all()
    assert mask[0].all()
    assert (mask.sum(1) >= 64).all()


def test_token_types_are_0_and_then_1(tmp_path: Path) -> None:
    assert set(np.unique(made(tmp_path, TOKENS)["token_type_ids"])) == {0, 1}


def test_indices_through_a_cast_and_into_another_input_are_bounded_too(tmp_path: Path) -> None:
    text = """m (float[batch, 5, 2] table, int32[batch, k] where_) => (float[batch, k, 2] y) {
        wide = Cast <to = 7> (where_)
        axis = Constant <value = int64[1] {2}> ()
        deep = Unsqueeze (wide, axis)
        two = Concat <axis = 2> (deep, deep)
        y = GatherElements <axis = 1> (table, two)
    }"""
    found = made(tmp_path, text)["where_"]
    assert (found.min(), found.max()) == (0, 4)


def test_lengths_stay_inside_the_sequence_they_speak_of(tmp_path: Path) -> None:
    text = """m (float[batch, frames, 80] speech, int64[batch] speech_lengths, float[batch, other] z) => (float[batch, frames, 80] y) {
        y = Identity (speech) }"""
    own = variant(saved(tmp_path, text), Given(dims={"frames": 40})).variant
    lengths = np.concatenate([own.inputs("calibration")["speech_lengths"], own.inputs("test")["speech_lengths"]])
    assert (lengths.min() >= 20, lengths.max()) == (True, 40)
    assert len(set(lengths)) > 3


def test_positions_count(tmp_path: Path) -> None:
    text = "m (int64[batch, sequence] position_ids) => (int64[batch, sequence] y) { y = Identity (position_ids) }"
    assert (made(tmp_path, text)["position_ids"] == np.arange(128)).all()


def test_pictures_are_smooth_and_in_a_normalised_range(tmp_path: Path) -> None:
    images = made(tmp_path, CLASSIFIER)["images"]
    assert images.shape[1:] == (3, 224, 224)
    assert 1 < images.max() < 3 > -images.min() > 1
    assert np.abs(np.diff(images, axis=3)).mean() < np.abs(images).mean() / 3


def test_a_divisor_is_never_zero_which_would_end_the_process(tmp_path: Path) -> None:
    divisors = made(tmp_path, "m (int32[n, 50] a, int32[n, 50] b) => (int32[n, 50] y) { y = Div (a, b) }")["b"]
    assert divisors.min() >= 1


def test_a_shape_is_not_made_up(tmp_path: Path) -> None:
    text = "m (float[n, 6] x, int64[2] shape) => (float[a, b] y) { y = Reshape (x, shape) }"
    with pytest.raises(UserError, match=r"input 'shape' sets a shape, an axis or a count \(Reshape 'y'\); give real values with --inputs"):
        made(tmp_path, text)


def test_the_same_model_gets_the_same_inputs_and_each_input_its_own(tmp_path: Path) -> None:
    text = "m (float[n, 7] a, float[n, 7] b) => (float[n, 7] y) { y = Add (a, b) }"
    first, second = made(tmp_path, text), made(tmp_path, text)
    assert all((first[name] == second[name]).all() for name in first)
    assert (first["a"] != first["b"]).any()


def test_both_splits_are_whole_batches_and_differ(tmp_path: Path) -> None:
    own = variant(saved(tmp_path, "m (float[5, 3] a) => (float[5, 3] y) { y = Identity (a) }"), Given()).variant
    calibration, test = own.inputs("calibration")["a"], own.inputs("test")["a"]
    assert len(calibration) % 5 == len(test) % 5 == 0
    assert len(test) > len(calibration) > 0
    assert not np.isin(calibration, test).any()
