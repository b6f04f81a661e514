"""Fashion-MNIST's IDX files, where the user has them: TRTBENCH_FASHION_MNIST names the folder."""

from __future__ import annotations

import gzip
import math
import os
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from common.errors import UserError
from variants.variant import Split

VARIABLE = "TRTBENCH_FASHION_MNIST"
PREFIX: dict[Split, str] = {"calibration": "train", "test": "t10k"}
MEAN, STD = 0.2860, 0.3530
"""Of the training images, scaled to 0..1."""
UNSIGNED_BYTES = 8
"""The IDX code of the element type, http://yann.lecun.com/exdb/mnist/."""


def folder() -> Path | None:
    """Where the user has the files; None when the variable is not set. Raises UserError when one of them is missing."""
    given = os.environ.get(VARIABLE)
    if not given:
        return None
    for file in files(Path(given)):
        if not file.is_file():
            raise UserError(f"{file}: not found; put Fashion-MNIST's four IDX files (or .gz) there, or unset {VARIABLE}")
    return Path(given)


def files(where: Path) -> tuple[Path, ...]:
    """The four files, each as it is there: plain, else compressed."""
    plain = [where / f"{prefix}-{kind}-ubyte" for prefix in PREFIX.values() for kind in ("images-idx3", "labels-idx1")]
    return tuple(file if file.is_file() else file.with_name(f"{file.name}.gz") for file in plain)


@cache
def load(where: Path, split: Split, count: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """The first `count` images, float32 [n, 1, 28, 28], normalised, and their labels, int64 [n]."""
    images, labels = (read_idx(file) for file in files(where) if file.name.startswith(PREFIX[split]))
    if len(images) != len(labels) or images.shape[1:] != (28, 28):
        raise UserError(f"{where}: {len(images)} images of {images.shape[1:]} and {len(labels)} labels do not belong together; get it anew")
    pixels = (images[:count, None].astype(np.float32) / 255 - MEAN) / STD
    return pixels.astype(np.float32), labels[:count].astype(np.int64)


def read_idx(file: Path) -> npt.NDArray[np.uint8]:
    """An IDX file of unsigned bytes. Raises UserError when it is none, truncated or too long."""
    try:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError) as error:
        raise UserError(f"{file}: cannot be read ({error}); get it anew") from error
    if len(content) < 4 or content[:3] != bytes((0, 0, UNSIGNED_BYTES)):
        raise UserError(f"{file}: not an IDX file of bytes; get it anew")
    rank = content[3]
    shape = tuple(int(size) for size in np.frombuffer(content[4 : 4 + 4 * rank], ">u4"))
    data = np.frombuffer(content[4 + 4 * rank :], np.uint8)
    if len(shape) != rank or data.size != math.prod(shape):
        raise UserError(f"{file}: holds {data.size:,} bytes where its header says {math.prod(shape):,}; get it anew")
    return data.reshape(shape)
