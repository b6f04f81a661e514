"""Seeded weights for WeNet whose activations are in a trained model's range.

On top of variants/seeded.py: queries and keys are 1.5 times as large, so that attention chooses; what closes a residual
branch is divided by sqrt(2 blocks); what the position table's scale multiplies by sqrt(width) is divided by it. BatchNorm's
statistics and the CTC output are then fitted to what the encoder really makes of speech-like features. A random output layer
would say the same token in every frame, because states share most of what they are; a centred one says tokens without being
sure of any, and half of them turn under 8 bits. So a token stands for the state of one frame, as a trained row does for a sound.
Checked by tests/variants/networks/test_wenet.py: the standard deviation after each block, how many tokens are spoken and how
many frames are blank.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from variants.networks.wenet import WenetEncoder
from variants.networks.wenet_layers import PositionAttention
from variants.seeded import fill

CLOSING = ("linear_out", "w_2", "pointwise_conv2")
CHOOSING = ("linear_q", "linear_k")
POSITION_STD = 0.2
CONFIDENCE = 4.5
"""Standard deviation of the logits over tokens that are spoken: the best one is about as sure as a trained model is."""
SOUNDS = 24
"""Tokens that are spoken: there are a dozen sounds in the signals, in several shades."""
RARE = 3.0
"""All tokens that stand for no sound have together about exp(-RARE) of the blank's probability."""
BLANKS = 0.45
"""Share of frames whose best token is the blank."""


def seed(model: nn.Module, blocks: int, number: int) -> None:
    """Fill every parameter of `model`, which has `blocks` blocks, from the seed `number`."""
    fill(model, number, lambda name, part: _gain(name, part, blocks))
    draw = torch.Generator().manual_seed(number)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Embedding):
                module.weight.normal_(0.0, 1 / math.sqrt(module.embedding_dim), generator=draw)
            elif isinstance(module, PositionAttention):
                module.pos_bias_u.normal_(0.0, POSITION_STD, generator=draw)
                module.pos_bias_v.normal_(0.0, POSITION_STD, generator=draw)


def _gain(name: str, part: nn.Module, blocks: int) -> float:
    last = name.rpartition(".")[2]
    if last in CLOSING:
        return 1 / math.sqrt(2 * blocks)
    if last in CHOOSING:
        return 1.5
    if isinstance(part, nn.Linear) and name.endswith("embed.out.0"):
        return 1 / math.sqrt(part.out_features)
    if last == "output_layer":
        return CONFIDENCE
    return math.sqrt(2) if isinstance(part, nn.Conv2d) else 1.0


def settle(model: WenetEncoder, speech: Tensor, lengths: Tensor, number: int) -> None:
    """Fit the feature statistics, BatchNorm and the CTC output to float32 [n, frames, bins] with int [n] lengths."""
    with torch.no_grad():
        spoken = torch.cat([row[:length] for row, length in zip(speech, lengths.tolist(), strict=True)])
        model.encoder.global_cmvn.mean.copy_(spoken.mean(0))
        model.encoder.global_cmvn.istd.copy_(1 / spoken.std(0).clamp(min=0.1))
        norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d)]
        for norm in norms:
            norm.momentum = 1.0
        model.eval()
        for norm in norms:
            norm.train()
        model.encoder(speech, lengths)
        model.eval()
        states, mask = model.encoder(speech, lengths)
        _fit_output(model.ctc.ctc_lo, states[mask.squeeze(1)], number)


def _fit_output(layer: nn.Linear, states: Tensor, number: int) -> None:
    """Tokens that stand for the states [n, width] of SOUNDS frames; the blank where none is near; all others hardly ever."""
    draw = torch.Generator().manual_seed(number)
    mean, deviation = states.mean(0), states.std(0).clamp(min=1e-3)
    normed = (states - mean) / deviation
    sounds = normed[torch.randperm(len(normed), generator=draw)[:SOUNDS]]
    nearness = normed @ sounds.T - sounds.square().sum(1) / 2
    scale = CONFIDENCE / nearness.std(1).mean()
    threshold = (scale * nearness).amax(1).quantile(BLANKS)
    rare = threshold - math.log(layer.out_features) - RARE
    weight = torch.empty_like(layer.weight).normal_(0.0, 1 / math.sqrt(layer.in_features), generator=draw)
    bias = rare.repeat(layer.out_features)
    tokens = 1 + torch.randperm(layer.out_features - 2, generator=draw)[: len(sounds)]
    weight[tokens], bias[tokens] = scale * sounds, -scale * sounds.square().sum(1) / 2
    weight[0], bias[0] = 0.0, threshold
    weight[-1] = 0.0  # the end of a sentence, which CTC does not learn to say
    layer.weight.copy_(weight / deviation)
    layer.bias.copy_(bias - layer.weight @ mean)
