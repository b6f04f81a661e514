"""DAB-DETR (arXiv 2201.12329) as `transformers` has it: ResNet, encoder, and a decoder that refines its anchor boxes.

Exported as it is, in-place slice updates (ScatterND) and mask arithmetic included: that is the graph a user gets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import DabDetrConfig, DabDetrForObjectDetection, ResNetConfig

from common.errors import UserError
from variants import seeded
from variants.checkpoint import refuse_difference

PRIOR = 0.01
"""Focal loss starts every class at this probability (arXiv 1708.02002), and most queries stay there."""
ANCHORS = (0.05, 0.6)
"""Widths and heights of the seeded anchors, as shares of the image."""
RESIDUAL = 0.3
"""Trained ResNets end their residual branches with small scales; at 1, sixteen of them would reach a standard deviation of 90."""
GAINS = (
    (("cross_attn_query_pos_sine_proj", "cross_attn_key_pos_proj", "ref_point_head.layers.1"), 3.0),
    (("cross_attn.output_proj",), 4.0),
    (("out_proj", "output_proj", "fc2"), 0.25),
    (("bbox_predictor.layers.2", "bbox_embed.layers.2"), 0.1),
    (("class_embed",), 2.0),
)
"""Gains other than 1 of what ends in a name, the first that fits (the backbone's are undone by its settled
normalisations). Trained queries look at different places: without sharp attention by position, let through past the
other branches, all queries end up alike and no metric tells anything. A refinement moves an anchor a little."""


@dataclass(frozen=True, slots=True)
class Size:
    """What differs between the sizes; `blocks` and `widths` are of ResNet's four stages. Defaults: DAB-DETR-R50."""

    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    widths: tuple[int, int, int, int] = (256, 512, 1024, 2048)
    stem: int = 64
    layers: int = 6
    width: int = 256
    mlp_width: int = 2048
    heads: int = 8
    queries: int = 300
    classes: int = 91


TINY = Size((1, 1, 1, 1), (32, 64, 96, 128), stem=16, layers=2, width=64, mlp_width=128, heads=4, queries=30, classes=20)
FULL = Size()


class DabDetr(DabDetrForObjectDetection):  # type: ignore[misc,unused-ignore]
    """The detector with plain tensors at its door."""

    def forward(self, pixel_values: torch.Tensor, pixel_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """float32 [batch, 3, height, width] and int64 [batch, height, width] (1 where the image is, 0 where padding).

        Gives logits float32 [batch, queries, classes] and boxes float32 [batch, queries, 4] (centre x, y, width, height, 0..1).
        """
        found = super().forward(pixel_values, pixel_mask=pixel_mask, return_dict=True)
        return found.logits, found.pred_boxes


def config(size: Size) -> DabDetrConfig:
    """With transformers' own ResNet, so that nothing asks for timm."""
    return DabDetrConfig(
        backbone_config=ResNetConfig(
            depths=list(size.blocks), hidden_sizes=list(size.widths), embedding_size=size.stem, out_features=["stage4"]
        ),
        encoder_layers=size.layers,
        decoder_layers=size.layers,
        hidden_size=size.width,
        encoder_ffn_dim=size.mlp_width,
        decoder_ffn_dim=size.mlp_width,
        encoder_attention_heads=size.heads,
        decoder_attention_heads=size.heads,
        num_queries=size.queries,
        num_labels=size.classes,
    )


def seeded_dab_detr(size: Size, seed: int = 0) -> DabDetr:
    """A network in evaluation mode with the weights of `seed`, see variants/seeded.py; anchors spread over the image."""
    model = DabDetr(config(size))
    seeded.fill(model, seed, gain)
    with torch.no_grad():
        for name, part in model.named_modules():
            if name.endswith("layer.2.normalization"):
                part.weight.mul_(RESIDUAL)
    seeded.settle(model.model.backbone, (seeded.smooth_noise(seed), torch.ones(2, 128, 128)))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        model.class_embed.bias.fill_(math.log(PRIOR / (1 - PRIOR)))
        anchors = model.model.query_refpoint_embeddings.weight
        anchors[:, :2] = torch.rand(len(anchors), 2, generator=generator).clamp(0.02, 0.98).logit()
        anchors[:, 2:] = torch.empty(len(anchors), 2).uniform_(*ANCHORS, generator=generator).logit()
    return model.eval()  # type: ignore[no-any-return,unused-ignore]


def restored(folder: Path) -> DabDetr:
    """The model of a folder in transformers' format (config.json, weights), of any size; nothing in it is executed.

    Raises UserError when it cannot be read, when its backbone needs timm, or when its weights are not all there and used.
    """
    try:
        model, found = DabDetr.from_pretrained(folder, local_files_only=True, ignore_mismatched_sizes=True, output_loading_info=True)
    except Exception as error:  # transformers has no base class for what can be wrong with a folder
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"{folder}: not a DAB-DETR checkpoint that loads here ({reason}); save one with save_pretrained") from error
    misshapen = [f"{name} is {list(given)}, here {list(own)}" for name, given, own in found["mismatched_keys"]]
    refuse_difference(folder, missing=found["missing_keys"], unexpected=found["unexpected_keys"], misshapen=misshapen)
    return model.eval()  # type: ignore[no-any-return,unused-ignore]


def gain(name: str, part: nn.Module) -> float:
    """How much larger or smaller than 1 / sqrt(fan-in) the weights called `name` are."""
    return next((value for ends, value in GAINS if name.endswith(ends)), 1.0)
