"""Vision Transformer (arXiv 2010.11929) of the transformers library, seeded: tiny, ViT-S/16, ViT-B/16, and 28x28 grey."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from variants import networks
from variants.data import digits, fashion_mnist, photographs
from variants.variant import Family, Split, Tensors, Variant, top1_agreement, topk_agreement

if TYPE_CHECKING:
    from torch import nn

SEED = 20101
PATCH_GAIN, SCORE_GAIN = 0.3, 2.0
CALIBRATION_IMAGES, TEST_IMAGES, LABELLED_IMAGES = 16, 32, 1000
NETWORK = Path(networks.__file__).parent / "pretrained.py"


@dataclass(frozen=True, slots=True)
class Size:
    """Sizes in the paper's terms; `mlp` is the hidden width of the feed-forward part."""

    width: int
    depth: int
    heads: int
    mlp: int
    image: int = 224
    patch: int = 16
    channels: int = 3
    classes: int = 1000


def _config(size: Size) -> Any:
    from transformers import ViTConfig

    return ViTConfig(
        hidden_size=size.width,
        num_hidden_layers=size.depth,
        num_attention_heads=size.heads,
        intermediate_size=size.mlp,
        image_size=size.image,
        patch_size=size.patch,
        num_channels=size.channels,
        num_labels=size.classes,
    )


def _network(size: Size, checkpoint: Path | None = None) -> nn.Module:
    """Images float32 [n, channels, image, image] -> logits float32 [n, classes].

    The pixels of a patch are alike, so its product is scaled down; scores are scaled up, or all images would look the same
    to a softmax that is nearly flat. Both were chosen by the spread of logits over images and of activations over blocks.
    """
    from transformers import ViTForImageClassification

    from variants.networks.pretrained import Positional, restored, seeded

    branch = (2 * size.depth) ** -0.5
    gains = {"o_proj": branch, "fc2": branch, "projection": PATCH_GAIN, "q_proj": SCORE_GAIN, "k_proj": SCORE_GAIN}
    if checkpoint is None:
        model = seeded(ViTForImageClassification, _config(size), SEED, gains)
    else:
        model = restored(ViTForImageClassification, _config(size), checkpoint, spare=("vit.pooler.",))
    return Positional(model, ("pixel_values",), "logits").eval()


def _photographs(size: Size, split: Split) -> Tensors:
    count = CALIBRATION_IMAGES if split == "calibration" else TEST_IMAGES
    return {"images": photographs.crops(split, count, size.image, size.image)}


def _variant(size: Size) -> Variant:
    return Variant(
        module=partial(_network, size),
        inputs=partial(_photographs, size),
        outputs=("logits",),
        metric="reference's top-1 in the top-5 (seeded weights)",
        agreement=topk_agreement,
        score=None,
        files=(NETWORK, Path(photographs.__file__)),
        distributions=("transformers", "scikit-learn", "pillow"),
        unavailable=photographs.unavailable,
        restore=partial(_network, size),
    )


FASHION = Size(width=64, depth=4, heads=4, mlp=128, image=28, patch=4, channels=1, classes=10)


@cache
def _scanned_digits(split: Split) -> Tensors:
    """scikit-learn's digits at 28x28, which only stand in for clothes: float32 [n, 1, 28, 28] in -1..1."""
    shrink = digits.bilinear(digits.SIZE, FASHION.image)
    data = digits.load()["train" if split == "calibration" else "test"]
    images = data.images[: CALIBRATION_IMAGES if split == "calibration" else 10 * TEST_IMAGES]
    return {"images": np.ascontiguousarray(shrink @ images @ shrink.T)}


def _fashion() -> Variant:
    """With the data set's IDX files: its first 1,000 test images and their labels. Without: scanned digits, unlabelled."""
    folder = fashion_mnist.folder()
    fixed = dict[str, Any](
        module=partial(_network, FASHION), outputs=("logits",), agreement=top1_agreement, restore=partial(_network, FASHION)
    )
    fixed |= {"distributions": ("transformers", "scikit-learn")}
    if folder is None:
        metric = f"top-1 of the reference (seeded weights, scanned digits: {fashion_mnist.VARIABLE} names no folder)"
        return Variant(inputs=_scanned_digits, metric=metric, score=None, files=(NETWORK, Path(digits.__file__)), **fixed)

    def inputs(split: Split) -> Tensors:
        return {"images": fashion_mnist.load(folder, split, LABELLED_IMAGES if split == "test" else CALIBRATION_IMAGES * 8)[0]}

    def score(outputs: Tensors) -> float:
        return float((outputs["logits"].argmax(-1) == fashion_mnist.load(folder, "test", LABELLED_IMAGES)[1]).mean())

    files = (NETWORK, Path(fashion_mnist.__file__), *fashion_mnist.files(folder))
    return Variant(inputs=inputs, metric="top-1 on Fashion-MNIST", score=score, files=files, **fixed)


SIZES: Mapping[str, Callable[[], Variant]] = {
    "tiny": lambda: _variant(Size(width=96, depth=4, heads=3, mlp=384, patch=32)),
    "small": lambda: _variant(Size(width=384, depth=12, heads=6, mlp=1536)),
    "base": lambda: _variant(Size(width=768, depth=12, heads=12, mlp=3072)),
    "fashion": _fashion,
}

vit = Family(SIZES)
