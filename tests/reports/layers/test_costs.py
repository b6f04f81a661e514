"""Precision, bytes and operations, from TensorRT's words and shapes."""

from __future__ import annotations

import pytest

from reports.layers.formats import layout, tensor
from reports.layers.operations import product

FORMATS = {
    "Row major linear FP32": ("FP32", 32, 1),
    "Row major linear FP16 format": ("FP16", 16, 1),
    "Channel major FP16 format where channel % 8 == 0": ("FP16", 16, 8),
    "Channel major BFloat16 format where channel % 2 == 0": ("BF16", 16, 2),
    "Thirty-two wide channel vectorized row major Int8 format": ("INT8", 8, 32),
    "Four wide channel vectorized row major FP32 format": ("FP32", 32, 4),
    "Channel major INT8 format where channel == 4 and column stride % 32 == 0": ("INT8", 8, 1),
    "Channel major FP16 format where channel % 8 == 0 with 3 spatial dimensions": ("FP16", 16, 8),
    "Row major linear BOOL": ("BOOL", 8, 1),
    "Row major linear Int4 format": ("INT4", 4, 1),
    "Half": ("FP16", 16, 1),
    "Float": ("FP32", 32, 1),
    "Int64": ("INT64", 64, 1),
    "N/A due to dynamic shapes": ("", 0, 1),
    "Unknown format": ("", 0, 1),
    "": ("", 0, 1),
}
PRODUCTS: dict[str, tuple[list[tuple[int, ...]], tuple[int, ...], int | None]] = {
    "a weight": ([(8, 65, 128), (128, 384)], (8, 65, 384), 2 * 8 * 65 * 128 * 384),
    "two activations": ([(2, 4, 65, 32), (2, 4, 32, 65)], (2, 4, 65, 65), 2 * 2 * 4 * 65 * 32 * 65),
    "a transposed weight": ([(8, 128), (10, 128)], (8, 10), 2 * 8 * 128 * 10),
    "a weight that is not listed": ([(8, 128)], (8, 10), 2 * 8 * 128 * 10),
    "a bias beside it": ([(8, 128), (128, 10), (10,)], (8, 10), 2 * 8 * 128 * 10),
    "shapes that do not fit": ([(8, 128), (127, 10)], (8, 10), None),
    "no matrix": ([(8,)], (8,), None),
    "nothing": ([(8, 128), (128, 0)], (8, 0), None),
}


@pytest.mark.parametrize(("words", "expected"), FORMATS.items())
def test_a_format_tells_precision_bits_and_the_channels_of_a_vector(words: str, expected: tuple[str, int, int]) -> None:
    found = layout(words)
    assert (found.precision, found.bits, found.vector) == expected


@pytest.mark.parametrize(
    ("words", "shape", "expected"),
    [
        ("Row major linear FP32", (1, 3, 224, 224), 3 * 224 * 224 * 4),
        ("Channel major FP16 format where channel % 8 == 0", (1, 3, 224, 224), 8 * 224 * 224 * 2),
        ("Thirty-two wide channel vectorized row major Int8 format", (2, 33, 7, 7), 2 * 64 * 49),
        ("Row major linear Int4 format", (3,), 2),
        ("Half", (), 2),
        ("Half", (0, 4), 0),
        ("Half", (-1, 4), None),
        ("N/A due to dynamic shapes", (1, 4), None),
    ],
)
def test_a_tensor_has_the_bytes_that_the_engine_stores(words: str, shape: tuple[int, ...], expected: int | None) -> None:
    assert tensor("t", shape, words).bytes == expected


@pytest.mark.parametrize("case", PRODUCTS)
def test_a_product_counts_two_operations_a_multiply_add(case: str) -> None:
    inputs, output, expected = PRODUCTS[case]
    assert product(inputs, output) == expected
