"""Crops of scikit-learn's two photographs (a temple, a flower), of any size: real images without a download."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt

from variants.variant import Split

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
"""ImageNet's, which the published models of both image families were trained with."""
SMALLEST = 0.3
"""A crop's longer side is at least this share of what fits."""
SEEDS: dict[Split, int] = {"calibration": 1, "test": 2}


def unavailable() -> str | None:
    """Why the photographs cannot be decoded here, or None."""
    return None if find_spec("PIL") else "pillow, which decodes the photographs, is not installed: pip install pillow"


@cache
def _halves(split: Split) -> tuple[npt.NDArray[np.uint8], ...]:
    """The left halves to calibrate on, the right halves to test with, uint8 [427, 320, 3]: the splits share no pixel."""
    from sklearn.datasets import load_sample_images

    columns = slice(0, 320) if split == "calibration" else slice(320, 640)
    return tuple(image[:, columns] for image in load_sample_images().images)


@cache
def crops(split: Split, count: int, height: int, width: int) -> npt.NDArray[np.float32]:
    """Seeded crops, temple and flower in turn, half of them mirrored: float32 [count, 3, height, width], normalised.

    The first of n crops are the same for every n.
    """
    from PIL import Image

    draw = np.random.default_rng(SEEDS[split])
    found = np.empty((count, 3, height, width), np.float32)
    for number in range(count):
        half = _halves(split)[number % 2]
        fits = min(half.shape[0] / height, half.shape[1] / width)
        rows, columns = (int(side * fits * draw.uniform(SMALLEST, 1)) for side in (height, width))
        top, left = draw.integers(half.shape[0] - rows + 1), draw.integers(half.shape[1] - columns + 1)
        crop = half[top : top + rows, left : left + columns]
        resized = np.asarray(Image.fromarray(crop).resize((width, height), Image.Resampling.BICUBIC))
        resized = resized[:, ::-1] if draw.random() < 0.5 else resized
        found[number] = ((resized / 255 - MEAN) / STD).transpose(2, 0, 1)
    return found
