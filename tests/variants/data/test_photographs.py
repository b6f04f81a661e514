"""Crops are real, of the size that was asked for, and the ones calibrated on are not the ones tested with."""

from __future__ import annotations

import numpy as np
import pytest

from variants.data import photographs
from variants.data.photographs import MEAN, STD, crops

if reason := photographs.unavailable():
    pytest.skip(reason, allow_module_level=True)


def test_the_first_crops_are_the_same_however_many_are_asked_for() -> None:
    assert np.array_equal(crops("test", 5, 64, 96)[:2], crops("test", 2, 64, 96))


def test_crops_are_normalised_photographs_each_unlike_the_others() -> None:
    images = crops("test", 8, 48, 64)
    assert images.dtype == np.float32
    assert images.shape == (8, 3, 48, 64)
    shown = images * STD[:, None, None] + MEAN[:, None, None]
    assert -0.001 <= shown.min() < 0.2
    assert 0.8 < shown.max() <= 1.001
    assert all(np.abs(images[i] - images[j]).mean() > 0.1 for i in range(8) for j in range(i))
    neighbours = np.abs(np.diff(images, axis=3)).mean()
    assert neighbours < 0.5 * images.std(), "a photograph is smooth, noise is not"


def test_no_column_is_both_calibrated_on_and_tested_with() -> None:
    from sklearn.datasets import load_sample_images

    for whole, left, right in zip(load_sample_images().images, *map(photographs._halves, ("calibration", "test")), strict=True):
        assert np.array_equal(np.concatenate([left, right], axis=1), whole)


def test_without_a_decoder_the_reason_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photographs, "find_spec", lambda name: None)
    assert photographs.unavailable() == "pillow, which decodes the photographs, is not installed: pip install pillow"
