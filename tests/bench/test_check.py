"""What counts as an error against the reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench import check
from common.errors import UserError
from variants.variant import Array, Tensors, Variant

REFERENCE: dict[str, Array] = {"logits": np.array([[1.0, 5.0], [4.0, 2.0]], np.float32), "best": np.array([1, 0])}


def two_outputs() -> Variant:
    def alike(outputs: Tensors, reference: Tensors) -> float:
        return float(np.mean(outputs["best"] == reference["best"]))

    return Variant(lambda: None, lambda split: {}, ("logits", "best"), "best alike", alike, None, ())  # type: ignore[arg-type,return-value]


def test_an_index_has_no_error_in_decibels_but_its_disagreement_counts() -> None:
    found = check.accuracy(REFERENCE | {"best": np.array([0, 0])}, two_outputs(), REFERENCE)
    assert [output.output for output in found.outputs] == ["logits"]
    assert found.worst_snr_db == 300
    assert found.agreement == 0.5


def test_an_index_of_another_shape_is_refused() -> None:
    with pytest.raises(UserError, match=r"output 'best' has shape \(1,\), the reference \(2,\): a pass or the backend changed the shape"):
        check.accuracy(REFERENCE | {"best": np.array([0])}, two_outputs(), REFERENCE)


def test_what_else_a_task_is_judged_by_is_measured_against_the_reference() -> None:
    measures = {"first alike": lambda outputs, reference: float(outputs["best"][0] == reference["best"][0])}
    found = check.accuracy(REFERENCE | {"best": np.array([0, 0])}, replace(two_outputs(), measures=measures), REFERENCE)
    assert found.measures == (("first alike", 0.0),)
