"""How far two detectors agree: their boxes matched one to one, and whether the labels of a pair are the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from variants.variant import Array, Tensors

KEPT = 100
"""COCO scores an image's 100 most confident detections."""
FOUND = 0.5
"""COCO's lowest overlap for a box to count as found."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Matched detections: `overlap` is the IoU (0..1), `same_label` whether both name the same class; both [pairs]."""

    overlap: Array
    same_label: Array


def overlaps(first: Array, second: Array) -> Array:
    """IoU of every box of [m, 4] with every one of [n, 4], as centre x, centre y, width, height: float64 [m, n] in 0..1.

    A box that is not finite or has no area overlaps nothing.
    """
    low, high, area = [], [], []
    with np.errstate(invalid="ignore", divide="ignore"):
        for boxes in (first.astype(np.float64), second.astype(np.float64)):
            size = boxes[:, 2:]
            low.append(boxes[:, :2] - size / 2)
            high.append(boxes[:, :2] + size / 2)
            area.append(size.prod(axis=1))
        sides = np.minimum(high[0][:, None], high[1]) - np.maximum(low[0][:, None], low[1])
        common = np.maximum(sides, 0).prod(axis=2)
        shares: Array = common / (area[0][:, None] + area[1] - common)
    return np.nan_to_num(shares, posinf=0.0)


def matched(outputs: Tensors, reference: Tensors) -> Pairs:
    """The reference's detections of all images with those of `outputs`, paired for the largest sum of overlaps.

    A detection is one query: its box, its best class, and that class's logit as confidence; of "logits" [n, queries,
    classes] and "boxes" [n, queries, 4] each side's KEPT most confident queries of an image are detections.
    """
    from scipy.optimize import linear_sum_assignment

    overlap, same = [], []
    for number in range(len(reference["boxes"])):
        boxes, labels = _detections(outputs, number)
        true_boxes, true_labels = _detections(reference, number)
        table = overlaps(true_boxes, boxes)
        rows, columns = linear_sum_assignment(table, maximize=True)
        overlap.append(table[rows, columns])
        same.append(true_labels[rows] == labels[columns])
    return Pairs(np.concatenate(overlap), np.concatenate(same))


def _detections(outputs: Tensors, number: int) -> tuple[Array, Array]:
    logits = outputs["logits"][number]
    kept = np.argsort(-logits.max(axis=1), kind="stable")[:KEPT]
    return outputs["boxes"][number][kept], logits[kept].argmax(axis=1)


def found_again(outputs: Tensors, reference: Tensors) -> float:
    """Share of the reference's detections matched by a box that overlaps by FOUND or more and has the same label."""
    return _mean(outputs, reference, lambda pairs: (pairs.overlap >= FOUND) & pairs.same_label)


def box_overlap(outputs: Tensors, reference: Tensors) -> float:
    """Mean IoU of matched boxes."""
    return _mean(outputs, reference, lambda pairs: pairs.overlap)


def label_agreement(outputs: Tensors, reference: Tensors) -> float:
    """Share of matched boxes with the same label."""
    return _mean(outputs, reference, lambda pairs: pairs.same_label)


def _mean(outputs: Tensors, reference: Tensors, of: Callable[[Pairs], Array]) -> float:
    return float(np.mean(of(matched(outputs, reference))))
