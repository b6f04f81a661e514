"""The model is what it claims to be: big enough, good enough, and the same for everyone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.errors import UserError
from variants.data import digits
from variants.models import vit_digits as model
from variants.models.vit_digits import vit_digits
from variants.networks.vit import ViT, ViTConfig
from variants.variant import Array, top1_agreement


def test_the_committed_weights_classify_at_least_97_percent_of_the_test_images(vit_reference: dict[str, Array]) -> None:
    assert model.score(vit_reference) >= 0.97


def test_the_network_has_at_least_six_blocks_of_width_128_and_at_most_three_megabytes() -> None:
    network = vit_digits.module()
    assert isinstance(network, ViT)
    assert len(network.blocks) >= 6
    assert network.head.in_features >= 128
    assert model.WEIGHTS.stat().st_size <= 3_000_000


def test_the_module_is_in_evaluation_mode() -> None:
    assert not any(part.training for part in vit_digits.module().modules())


def test_the_inputs_are_training_images_to_calibrate_on_and_all_test_images() -> None:
    calibration, test = vit_digits.inputs("calibration")["images"], vit_digits.inputs("test")["images"]
    assert calibration.shape == (128, 1, 32, 32)
    assert test.shape == (360, 1, 32, 32)
    assert np.array_equal(calibration, digits.load()["train"].images[:128])
    assert len(set(digits.load()["train"].labels[:128])) == 10, "every digit is calibrated on"


def test_the_score_is_the_share_of_right_answers() -> None:
    labels = digits.load()["test"].labels
    logits = np.eye(10, dtype=np.float32)[labels]
    assert model.score({"logits": logits}) == 1
    logits[:36] = np.roll(logits[:36], 1, axis=1)
    assert model.score({"logits": logits}) == pytest.approx(0.9)


def test_agreement_is_the_share_of_like_decisions() -> None:
    reference = {"logits": np.eye(10, dtype=np.float32)[[1, 2, 3, 4]]}
    other = {"logits": np.eye(10, dtype=np.float32)[[1, 2, 3, 5]] * 7}
    assert top1_agreement(reference, reference) == 1
    assert top1_agreement(other, reference) == 0.75


def test_the_files_that_make_the_model_are_named_and_there() -> None:
    assert {path.name for path in vit_digits.files} == {"vit_digits.safetensors", "vit.py", "digits.py"}
    assert all(path.is_file() for path in vit_digits.files)


def test_missing_weights_name_the_training_script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(model, "WEIGHTS", tmp_path / "vit_digits.safetensors")
    with pytest.raises(UserError, match=r"python -m variants\.training\.vit_digits$"):
        vit_digits.module()


def test_a_network_of_another_size_works_by_its_configuration() -> None:
    import torch

    config = ViTConfig(image=16, channels=3, patch=8, width=24, depth=1, heads=3, mlp_width=10, classes=4)
    assert config.tokens == 5
    assert ViT(config)(torch.zeros(2, 3, 16, 16)).shape == (2, 4)
