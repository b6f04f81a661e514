"""What is asked of UniFormer: images that lead to different classes, and agreement on the best class and the best five."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from variants.data import photographs
from variants.export import run_module
from variants.find import find
from variants.models.uniformer_s import top5_agreement
from variants.variant import Array, Tensors, top1_agreement

CLASSES = np.array([[9, 8, 7, 6, 5, 4, 3, 2, 1, 0]] * 4, np.float32)


def logits(*swapped: tuple[int, int]) -> dict[str, Array]:
    """Four images alike, the first one with classes swapped."""
    found = CLASSES.copy()
    for one, other in swapped:
        found[0, [one, other]] = found[0, [other, one]]
    return {"logits": found}


@pytest.mark.parametrize("agreement", [top1_agreement, top5_agreement])
def test_a_classifier_agrees_with_itself(agreement: Callable[[Tensors, Tensors], float]) -> None:
    assert agreement(logits(), logits()) == 1


def test_another_order_among_the_best_five_is_another_best_class_but_the_same_five() -> None:
    assert top1_agreement(logits((0, 1)), logits()) == 0.75
    assert top5_agreement(logits((0, 1)), logits()) == 1


def test_one_of_the_best_five_of_one_of_four_images_lost_is_a_twentieth() -> None:
    assert top5_agreement(logits((4, 5)), logits()) == pytest.approx(0.95)
    assert top1_agreement(logits((4, 5)), logits()) == 1


def test_the_seeded_network_tells_the_images_apart() -> None:
    variant = find("uniformer_s").value
    if reason := photographs.unavailable():
        pytest.skip(reason)
    found = run_module(variant.module(), variant.outputs, variant.inputs("test"))["logits"]
    assert len(set(found.argmax(1))) >= 5
    assert found.std(axis=0).mean() > found.mean(axis=0).std(), "the image decides, not the biases"
