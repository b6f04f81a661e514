"""scikit-learn's 1,797 scanned digits, upscaled to 32x32, in a fixed train, validation and test split."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

SIZE = 32
SPLIT_SEED = 20260101
TEST_IMAGES, VALIDATION_IMAGES = 360, 180


@dataclass(frozen=True, slots=True)
class Digits:
    """One split: `images` float32 [n, 1, 32, 32] in -1..1, `labels` int64 [n] in 0..9."""

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]


def bilinear(source: int, target: int) -> npt.NDArray[np.float32]:
    """The [target, source] matrix of bilinear interpolation with half-pixel centres.

    Applied from both sides it equals torch's `interpolate(mode="bilinear", align_corners=False)`,
    without importing torch, so that a run whose artefacts are cached starts quickly.
    """
    centre = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
    low = np.floor(centre).astype(int)
    high = np.minimum(low + 1, source - 1)
    matrix = np.zeros((target, source), np.float32)
    matrix[np.arange(target), low] += 1 - (centre - low)
    matrix[np.arange(target), high] += centre - low
    return matrix


@cache
def load() -> dict[str, Digits]:
    """The splits "train", "validation" and "test", stratified by label with a fixed seed."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    scans = load_digits()
    up = bilinear(8, SIZE)
    images = (up @ (scans.images.astype(np.float32) / 8 - 1) @ up.T)[:, None]
    labels = scans.target.astype(np.int64)
    rest, test = train_test_split(np.arange(len(labels)), test_size=TEST_IMAGES, random_state=SPLIT_SEED, stratify=labels)
    train, validation = train_test_split(rest, test_size=VALIDATION_IMAGES, random_state=SPLIT_SEED, stratify=labels[rest])
    picked = {"train": train, "validation": validation, "test": test}
    return {name: Digits(images[rows], labels[rows]) for name, rows in picked.items()}
