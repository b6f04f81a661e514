"""TensorRT's words for precision and memory layout -> precision, bits an element, channels a vector."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import count
from math import prod
from typing import TypeAlias

import msgspec

from reports.layers.layer import Tensor

WORDS = {
    "FP32": "fp32 float float32 kfloat",
    "TF32": "tf32",
    "FP16": "fp16 half float16 khalf",
    "BF16": "bf16 bfloat16 kbf16",
    "FP8": "fp8 fp8e4m3 float8 e4m3 kfp8 float8e4m3fn",
    "FP4": "fp4 fp4e2m1 e2m1 kfp4",
    "E8M0": "e8m0 ke8m0",
    "INT8": "int8 kint8",
    "INT4": "int4 kint4",
    "INT32": "int32 kint32",
    "INT64": "int64 kint64",
    "UINT8": "uint8 kuint8",
    "BOOL": "bool boolean kbool",
    "FP64": "fp64 double float64",
}
PRECISIONS = {word: precision for precision, words in WORDS.items() for word in words.split()}
BITS = {"FP64": 64, "INT64": 64, "FP32": 32, "TF32": 32, "INT32": 32, "FP16": 16, "BF16": 16, "FP4": 4, "INT4": 4}
VECTORS = {"two": 2, "three": 3, "four": 4, "eight": 8, "sixteen": 16, "thirty-two": 32}


MULTIPLE = re.compile(r"channel % (\d{1,3}) == 0", re.IGNORECASE)


class Layout(msgspec.Struct, frozen=True, gc=False):
    """`precision` is "" and `bits` 0 where the words name none; channels are padded to a multiple of `vector`."""

    precision: str
    bits: int
    vector: int


@lru_cache(4096)
def layout(words: str) -> Layout:
    """What "Channel major FP16 format where channel % 8 == 0" means: FP16, 16 bits, vectors of 8 channels."""
    lower = words.lower().replace(",", " ").replace("(", " ").replace(")", " ").split()
    precision = next((PRECISIONS[word] for word in lower if word in PRECISIONS), "")
    vector = 1
    if "wide" in lower:
        vector = VECTORS.get(lower[max(lower.index("wide") - 1, 0)], 1)
    elif multiple := MULTIPLE.search(words):
        vector = int(multiple[1])
    return Layout(precision, BITS.get(precision, 8) if precision else 0, vector or 1)


@lru_cache(65536)
def size(shape: tuple[int, ...], words: str) -> int | None:
    """Bytes of a tensor as the engine stores it, padded channels included; None for a dynamic shape or an unknown precision."""
    how = layout(words)
    if not how.bits or any(dimension < 0 for dimension in shape):
        return None
    elements = prod(shape)
    if how.vector > 1 and len(shape) > 1 and shape[1]:
        elements = elements // shape[1] * (-(-shape[1] // how.vector) * how.vector)
    return (elements * how.bits + 7) // 8


Form: TypeAlias = tuple[str, str, tuple[int, ...], int | None, int]
KNOWN: dict[tuple[str, tuple[int, ...]], Form] = {}
"""Forms by words and shape: one object for all tensors alike spares a large engine most of its memory."""
MOST_KNOWN = 100_000
_numbers = count()


def known(words: str, shape: tuple[int, ...]) -> Form:
    """What all tensors of one format and shape share: precision, words, shape, bytes, and a number of their own."""
    if len(KNOWN) >= MOST_KNOWN:
        KNOWN.clear()
    return KNOWN.setdefault((words, shape), (layout(words).precision, words, shape, size(shape, words), next(_numbers)))


def tensor(name: str, shape: tuple[int, ...], words: str) -> Tensor:
    """A tensor from the inspector's own fields."""
    return Tensor(name, layout(words).precision, words, shape, size(shape, words))
