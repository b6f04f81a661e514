"""Vision Transformer (6 blocks, width 128) trained on scikit-learn's scanned digits at 32x32."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from variants import networks, weights
from variants.data import digits
from variants.variant import Split, Tensors, Variant, top1_agreement

if TYPE_CHECKING:
    import torch

WEIGHTS = weights.FOLDER / "vit_digits.safetensors"
NETWORK = Path(networks.__file__).parent / "vit.py"
CALIBRATION_IMAGES = 128


def module() -> torch.nn.Module:
    """Images float32 [n, 1, 32, 32] -> logits float32 [n, 10]."""
    from variants.networks.vit import ViT, ViTConfig

    model = ViT(ViTConfig())
    weights.load_into(model, WEIGHTS, "python -m variants.training.vit_digits")
    return model.eval()


def inputs(split: Split) -> Tensors:
    """The first 128 training images to calibrate on, or all 360 test images: float32 [n, 1, 32, 32]."""
    data = digits.load()
    images = data["train"].images[:CALIBRATION_IMAGES] if split == "calibration" else data["test"].images
    return {"images": images}


def score(outputs: Tensors) -> float:
    """Top-1 on the test split, 0..1."""
    return float((outputs["logits"].argmax(-1) == digits.load()["test"].labels).mean())


vit_digits = Variant(
    module=module,
    inputs=inputs,
    outputs=("logits",),
    metric="top-1",
    agreement=top1_agreement,
    score=score,
    files=(WEIGHTS, NETWORK, Path(digits.__file__)),
)
