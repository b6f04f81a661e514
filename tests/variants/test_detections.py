"""Detections are matched box to box, whatever their order, and each kind of difference shows in its own number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from variants.detections import KEPT, box_overlap, found_again, label_agreement, overlaps
from variants.variant import Array, Tensors

Measure = Callable[[Tensors, Tensors], float]
BOXES = np.array([[0.2, 0.2, 0.2, 0.2], [0.7, 0.2, 0.2, 0.2], [0.2, 0.7, 0.2, 0.2], [0.7, 0.7, 0.2, 0.2]], np.float32)
LABELS = [0, 1, 2, 0]


def detected(boxes: Array = BOXES, labels: list[int] = LABELS, images: int = 1) -> dict[str, Array]:
    """The same queries in every image, sure of their label."""
    logits = np.full((len(labels), 5), -4.0, np.float32)
    logits[np.arange(len(labels)), labels] = 2.0
    return {"logits": np.stack([logits] * images), "boxes": np.stack([boxes] * images)}


MEASURES = (found_again, box_overlap, label_agreement)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_detector_agrees_with_itself(measure: Measure) -> None:
    assert measure(detected(images=3), detected(images=3)) == pytest.approx(1)


@pytest.mark.parametrize("measure", MEASURES)
def test_the_order_of_the_queries_does_not_matter(measure: Measure) -> None:
    order = [2, 0, 3, 1]
    assert measure(detected(BOXES[order], [LABELS[i] for i in order]), detected()) == pytest.approx(1)


def test_one_other_label_of_four_is_a_quarter_less_and_leaves_the_boxes_alone() -> None:
    other = detected(labels=[0, 1, 2, 3])
    assert found_again(other, detected()) == label_agreement(other, detected()) == 0.75
    assert box_overlap(other, detected()) == pytest.approx(1)


def test_one_box_moved_by_half_its_width_lowers_the_overlap_by_its_share_and_is_not_found() -> None:
    boxes = BOXES.copy()
    boxes[3, 0] += 0.1
    other = detected(boxes)
    assert box_overlap(other, detected()) == pytest.approx((3 + 1 / 3) / 4)
    assert found_again(other, detected()) == 0.75
    assert label_agreement(other, detected()) == 1


def test_the_pairing_is_the_best_overall_not_the_first_come() -> None:
    """The first box overlaps both, the second only the first: taken greedily one of them would be left with nothing."""
    true = np.array([[0.5, 0.5, 0.4, 0.4], [0.6, 0.5, 0.4, 0.4]], np.float32)
    found = np.array([[0.55, 0.5, 0.4, 0.4], [0.4, 0.5, 0.4, 0.4]], np.float32)
    best = overlaps(true, found)[[0, 1], [1, 0]].mean()
    assert box_overlap(detected(found, [0, 0]), detected(true, [0, 0])) == pytest.approx(best)


def test_only_the_most_confident_queries_are_detections() -> None:
    draw = np.random.default_rng(0)
    boxes, labels = draw.uniform(0.2, 0.8, (KEPT + 20, 4)).astype(np.float32), [0] * (KEPT + 20)
    reference = detected(boxes, labels)
    reference["logits"][0, KEPT:] = -9
    other = {name: array.copy() for name, array in reference.items()}
    other["boxes"][0, KEPT:] = 0.9
    assert box_overlap(other, reference) == pytest.approx(1)
    other["logits"][0, KEPT:] = 9
    assert box_overlap(other, reference) < 0.9


def test_the_overlap_of_two_boxes_is_their_common_area_by_all_that_either_covers() -> None:
    first = np.array([[0.5, 0.5, 0.4, 0.4]])
    second = np.array([[0.5, 0.5, 0.4, 0.4], [0.5, 0.5, 0.2, 0.2], [0.7, 0.5, 0.4, 0.4], [0.1, 0.1, 0.1, 0.1]])
    np.testing.assert_allclose(overlaps(first, second), [[1, 0.25, 1 / 3, 0]], atol=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_boxes_that_are_no_numbers_are_not_found_and_break_nothing(bad: float) -> None:
    other = detected(np.full_like(BOXES, bad))
    other["logits"][:] = bad
    assert found_again(other, detected()) == box_overlap(other, detected()) == 0


def test_boxes_without_an_area_overlap_nothing() -> None:
    flat = BOXES * np.array([1, 1, 0, -1], np.float32)
    assert box_overlap(detected(flat), detected()) == 0
