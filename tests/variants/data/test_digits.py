"""The digits come in the same three splits every time."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch.nn.functional

from variants.data import digits


def test_the_splits_have_fixed_sizes_and_shapes() -> None:
    data = digits.load()
    assert {name: len(split.labels) for name, split in data.items()} == {"train": 1257, "validation": 180, "test": 360}
    for split in data.values():
        assert split.images.shape == (len(split.labels), 1, 32, 32)
        assert split.images.dtype == np.float32
        assert split.labels.dtype == np.int64


def test_no_image_is_in_two_splits() -> None:
    digest = {name: [hashlib.sha256(image.tobytes()).hexdigest() for image in split.images] for name, split in digits.load().items()}
    everywhere = [one for split in digest.values() for one in split]
    assert len(everywhere) == 1797
    repeated = len(everywhere) - len(set(everywhere))
    assert repeated == 0


def test_every_split_holds_every_label_in_like_shares() -> None:
    shares = {name: np.bincount(split.labels, minlength=10) / len(split.labels) for name, split in digits.load().items()}
    for name in ("validation", "test"):
        np.testing.assert_allclose(shares[name], shares["train"], atol=1.5 / 180)


def test_pixels_are_between_minus_one_and_one_and_use_the_range() -> None:
    images = digits.load()["train"].images
    assert images.min() == pytest.approx(-1)
    assert images.max() == pytest.approx(1)


def test_a_fresh_load_gives_the_same_split() -> None:
    first = digits.load()
    digits.load.cache_clear()
    for name, split in digits.load().items():
        assert np.array_equal(split.images, first[name].images)
        assert np.array_equal(split.labels, first[name].labels)


@pytest.mark.parametrize(("source", "target"), [(8, 32), (8, 8), (5, 13), (3, 64), (1, 4), (9, 6)])
def test_upscaling_equals_bilinear_interpolation_by_torch(source: int, target: int) -> None:
    image = np.random.default_rng(source).normal(size=(source, source)).astype(np.float32)
    matrix = digits.bilinear(source, target)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(image)[None, None], size=(target, target), mode="bilinear", align_corners=False
    )
    np.testing.assert_allclose(matrix @ image @ matrix.T, expected[0, 0].numpy(), atol=1e-5)
