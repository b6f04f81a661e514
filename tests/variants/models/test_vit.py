"""The ViT family: seeded as a trained one behaves, and Fashion-MNIST where the user has it."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from common.errors import UserError
from variants.data import fashion_mnist
from variants.export import reference
from variants.find import find
from variants.models import vit as model
from variants.variant import topk_agreement

NAMES = [f"{prefix}-{kind}-ubyte" for prefix in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]


@pytest.mark.parametrize("size", ["tiny", "fashion"])
def test_activations_and_decisions_are_those_of_a_network_that_tells_images_apart(size: str) -> None:
    variant = find(f"vit:{size}").value
    module, stds = variant.module(), []
    for block in module.model.vit.layers:  # type: ignore[union-attr]
        block.register_forward_hook(lambda _, __, out: stds.append(float((out if torch.is_tensor(out) else out[0]).std())))
    with torch.no_grad():
        logits = module(torch.from_numpy(variant.inputs("test")["images"])).numpy()
    assert all(0.1 < std < 30 for std in stds)
    assert len(stds) == 4
    assert len(set(logits.argmax(-1))) >= 5


def test_the_sizes_are_those_of_the_papers() -> None:
    counts = {"small": 22.05e6, "base": 86.57e6}
    assert {"tiny", "fashion", *counts} == set(model.vit.sizes)
    with torch.device("meta"):
        from transformers import ViTForImageClassification

        made = ViTForImageClassification(model._config(model.Size(width=384, depth=12, heads=6, mlp=1536)))
    assert sum(p.numel() for p in made.parameters()) == pytest.approx(counts["small"], rel=1e-3)


def test_another_size_of_noise_is_another_agreement() -> None:
    logits = reference(find("vit:fashion").value)["logits"]
    noisy = logits + np.random.default_rng(0).normal(0, 3, logits.shape)
    assert find("vit:fashion").value.agreement({"logits": logits}, {"logits": logits}) == 1
    assert find("vit:fashion").value.agreement({"logits": noisy}, {"logits": logits}) < 0.8


def test_the_best_of_the_reference_has_to_be_among_the_best_five() -> None:
    reference_logits = {"y": np.arange(10.0)[None].repeat(2, 0)}
    outputs = {"y": np.stack([np.roll(np.arange(10.0), -6), np.roll(np.arange(10.0), -5)])}
    assert topk_agreement(outputs, reference_logits) == 0.5


def write(folder: Path, images: int = 1200, packed: bool = False) -> None:
    draw = np.random.default_rng(0)
    for name in NAMES:
        shape = (images, 28, 28) if "images" in name else (images,)
        header = bytes((0, 0, 8, len(shape))) + b"".join(size.to_bytes(4, "big") for size in shape)
        content = header + draw.integers(0, 10, shape, np.uint8).tobytes()
        (folder / f"{name}.gz").write_bytes(gzip.compress(content)) if packed else (folder / name).write_bytes(content)


@pytest.mark.parametrize("packed", [False, True])
def test_the_idx_files_of_a_folder_are_the_labelled_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool) -> None:
    write(tmp_path, packed=packed)
    monkeypatch.setenv(fashion_mnist.VARIABLE, str(tmp_path))
    variant = find("vit:fashion").value
    assert variant.inputs("test")["images"].shape == (1000, 1, 28, 28)
    assert variant.metric == "top-1 on Fashion-MNIST"
    assert variant.score is not None
    labels = fashion_mnist.load(tmp_path, "test", 1000)[1]
    assert variant.score({"logits": np.eye(10, dtype=np.float32)[labels]}) == 1
    assert {path.name.removesuffix(".gz") for path in variant.files} >= set(NAMES)


def test_without_the_folder_the_name_says_what_the_images_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(fashion_mnist.VARIABLE, raising=False)
    variant = find("vit:fashion").value
    assert variant.score is None
    assert "scanned digits" in variant.metric
    assert variant.inputs("test")["images"].shape == (320, 1, 28, 28)


DAMAGED = {
    "empty": (b"", "not an IDX file"),
    "floats": (b"\0\0\x0d\1\0\0\0\1", "not an IDX file of bytes"),
    "truncated": (b"\0\0\x08\2\0\0\0\2\0\0\0\2abc", "holds 3 bytes where its header says 4"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_idx_file_is_named(tmp_path: Path, kind: str) -> None:
    content, expected = DAMAGED[kind]
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(UserError, match=expected):
        fashion_mnist.read_idx(tmp_path / "f")


def test_a_missing_idx_file_is_named_with_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fashion_mnist.VARIABLE, str(tmp_path))
    with pytest.raises(UserError, match=rf"train-images-idx3-ubyte.gz: not found; .* unset {fashion_mnist.VARIABLE}"):
        find("vit:fashion")
