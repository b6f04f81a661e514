"""DAB-DETR with ResNet-50 (arXiv 2201.12329): 6+6 layers, 300 anchor boxes refined layer by layer, seeded weights."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from variants import detections, networks
from variants.checkpoint import load_into
from variants.data import photographs
from variants.variant import BATCH, Array, Family, Sizes, Split, Tensors, Variant

if TYPE_CHECKING:
    import torch

NETWORKS = Path(networks.__file__).parent
FILES = (NETWORKS / "dab_detr.py", NETWORKS.parent / "seeded.py", Path(photographs.__file__), Path(detections.__file__))


def tiny() -> Variant:
    """0.3 million parameters, 96x128 images, 30 anchors."""
    return _variant("TINY", height=(64, 96, 128), width=(64, 128, 160), images=16)


def full() -> Variant:
    """The published model: 43.7 million parameters, 300 anchors; 800x1066 is what COCO's images are scaled to."""
    return _variant("FULL", height=(256, 800, 1344), width=(256, 1066, 1344), images=4)


def _variant(size: str, height: tuple[int, int, int], width: tuple[int, int, int], images: int) -> Variant:
    (low, best, _), (narrow, wide, _) = height, width
    image, mask = {2: "height", 3: "width"}, {1: "height", 2: "width"}
    return Variant(
        module=partial(_module, size),
        inputs=partial(inputs, images, best, wide),
        outputs=("logits", "boxes"),
        metric="detections found again",
        agreement=detections.found_again,
        measures={"matched-box IoU": detections.box_overlap, "label agreement": detections.label_agreement},
        score=None,
        files=FILES,
        axes={"pixel_values": image, "pixel_mask": mask},
        ranges={"height": height, "width": width},
        check_shapes=(
            {BATCH: 1, "height": low, "width": narrow},
            {BATCH: 2, "height": low, "width": (narrow + wide) // 2},
            {BATCH: 3, "height": (low + best) // 2, "width": narrow},
        ),
        at=at,
        distributions=("transformers", "pillow", "scikit-learn"),
        unavailable=unavailable,
        restore=partial(restore, size),
    )


def unavailable() -> str | None:
    """Why the model cannot be made here, or None."""
    missing = None if find_spec("transformers") else "transformers, which has the model, is not installed: pip install transformers"
    return missing or photographs.unavailable()


def _module(size: str) -> torch.nn.Module:
    from variants.networks import dab_detr

    return dab_detr.seeded_dab_detr(getattr(dab_detr, size))


def restore(size: str, path: Path) -> torch.nn.Module:
    """The module of a folder in transformers' format (any size by its config.json), else of a state dict of this size."""
    from variants.networks import dab_detr

    if (path / "config.json").is_file():
        return dab_detr.restored(path)
    module = _module(size)
    load_into(module, path)
    return module


def inputs(images: int, height: int, width: int, split: Split) -> Tensors:
    """Crops of photographs, two of three padded as in a batch of unlike sizes: see `padded`."""
    return padded(photographs.crops(split, images, height, width))


def at(sizes: Sizes) -> Tensors:
    """The same at a setting of batch, height and width."""
    return padded(photographs.crops("test", sizes[BATCH], sizes["height"], sizes["width"]))


def padded(images: Array) -> Tensors:
    """Images end at 100, 70 and 55 % of height and width in turn, zeros after that; the mask, int64, is 1 up to there."""
    count, _, height, width = images.shape
    mask = np.zeros((count, height, width), np.int64)
    for number, share in enumerate(np.resize([1.0, 0.7, 0.55], count)):
        mask[number, : int(height * share), : int(width * share)] = 1
    return {"pixel_values": images * mask[:, None].astype(np.float32), "pixel_mask": mask}


dab_detr_r50 = Family({"tiny": tiny, "full": full})
