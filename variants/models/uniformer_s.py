"""UniFormer-S (arXiv 2201.09450): convolutional blocks, then global attention; 1000 classes, seeded weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from variants import networks
from variants.data import photographs
from variants.variant import BATCH, Family, Sizes, Split, Tensors, Variant, top1_agreement

if TYPE_CHECKING:
    import torch

NETWORKS = Path(networks.__file__).parent
FILES = (NETWORKS / "uniformer.py", NETWORKS.parent / "seeded.py", Path(photographs.__file__))
IMAGES = 32


def tiny() -> Variant:
    """0.3 million parameters, 64x64 images."""
    return _variant(lambda: _network((1, 2, 2, 1), (16, 32, 64, 96), 32, 100), side=(32, 64, 128))


def small() -> Variant:
    """The paper's: 21.5 million parameters and 3.63 G multiply-adds at 224x224."""
    return _variant(lambda: _network((3, 4, 8, 3), (64, 128, 320, 512), 64, 1000), side=(96, 224, 384))


def _network(depths: tuple[int, int, int, int], widths: tuple[int, int, int, int], head_width: int, classes: int) -> torch.nn.Module:
    from variants.networks.uniformer import UniFormerConfig, seeded_uniformer

    return seeded_uniformer(UniFormerConfig(depths, widths, head_width, classes))


def _variant(module: Callable[[], torch.nn.Module], side: tuple[int, int, int]) -> Variant:
    """Height and width are free, in steps of 32: position comes from convolutions (the paper, section 3.4), not from a table."""
    smallest, best, _ = side
    return Variant(
        module=module,
        inputs=partial(inputs, best),
        outputs=("logits",),
        metric="top-1",
        agreement=top1_agreement,
        measures={"top-5 agreement": top5_agreement},
        score=None,
        files=FILES,
        axes={"images": {2: "height", 3: "width"}},
        ranges={"height": side, "width": side},
        check_shapes=(
            {BATCH: 1, "height": best, "width": best},
            {BATCH: 2, "height": smallest, "width": best},
            {BATCH: 3, "height": best, "width": best + 32},
        ),
        at=at,
        distributions=("pillow", "scikit-learn"),
        unavailable=photographs.unavailable,
    )


def inputs(side: int, split: Split) -> Tensors:
    """32 crops of photographs, float32 [32, 3, side, side]."""
    return {"images": photographs.crops(split, IMAGES, side, side)}


def at(sizes: Sizes) -> Tensors:
    """Crops at a setting of batch, height and width."""
    return {"images": photographs.crops("test", sizes[BATCH], sizes["height"], sizes["width"])}


def top5_agreement(outputs: Tensors, reference: Tensors) -> float:
    """Mean share (0..1) of the reference's five best classes that are among the five best here, whatever their order."""
    best, true = (np.argsort(-tensors["logits"], axis=-1, kind="stable")[:, :5] for tensors in (outputs, reference))
    return float(np.mean([np.isin(found, expected).mean() for found, expected in zip(best, true, strict=True)]))


uniformer_s = Family({"tiny": tiny, "small": small})
