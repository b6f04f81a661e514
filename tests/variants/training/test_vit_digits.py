"""The training script, on a few images: it learns, writes what the model loads, and refuses early."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from variants import weights
from variants.data import digits
from variants.networks.vit import ViT, ViTConfig
from variants.training import vit_digits as training

SMALL = ViTConfig(width=16, depth=1, heads=2, mlp_width=16)


@pytest.fixture(autouse=True)
def few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """48 training images and a network of one narrow block."""
    few = {name: digits.Digits(split.images[:48], split.labels[:48]) for name, split in digits.load().items()}
    monkeypatch.setattr(digits, "load", lambda: few)
    monkeypatch.setattr(training, "ViTConfig", lambda: SMALL)


def main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["vit_digits", *arguments])
    training.main()


def test_one_epoch_writes_weights_and_digest_that_load(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new" / "toy.safetensors"
    main(monkeypatch, "--epochs", "1", "--output", str(output))
    fresh = ViT(SMALL)
    weights.load_into(fresh, output, "again")
    printed = capsys.readouterr().out
    assert "epoch 1/1" in printed
    assert f"test top-1 {training.top1(fresh, digits.load()['test']):.4f}" in printed


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    first, same, other = training.train(1, 7).state_dict(), training.train(1, 7).state_dict(), training.train(1, 8).state_dict()
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_training_lowers_the_loss(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(training, "PEAK_LR", 1e-2)
    monkeypatch.setattr(training, "WARMUP_EPOCHS", 1)
    training.train(25, 0)
    losses = [float(line.split("loss ")[1].split()[0]) for line in capsys.readouterr().out.splitlines()]
    assert losses[-1] < losses[0] - 0.1


def test_no_epochs_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(monkeypatch, "--epochs", "0", "--output", str(tmp_path / "toy.safetensors"))
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "--epochs 0: give at least 1\n"
    assert not (tmp_path / "toy.safetensors").exists()


def test_an_output_that_cannot_be_written_is_refused_before_the_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit):
        main(monkeypatch, "--output", str(tmp_path / "file" / "toy.safetensors"))
    told = capsys.readouterr()
    assert "toy.safetensors: cannot be written" in told.err
    assert "--output" in told.err
    assert "epoch" not in told.out


def test_augmented_images_stay_images_of_the_same_digits() -> None:
    images = torch.from_numpy(digits.load()["train"].images[:16])
    changed = training.augment(images, torch.Generator().manual_seed(0))
    assert changed.shape == images.shape
    assert float(changed.min()) >= -1.001
    assert float(changed.max()) <= 1.001
    assert not torch.equal(changed, images)
    same = [torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1] for a, b in zip(images, changed, strict=True)]
    assert min(same) > 0.4
