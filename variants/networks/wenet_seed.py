"""Seeded weights for WeNet whose activations are in a trained model's range.

On top of variants/seeded.py: queries and keys are 1.5 times as large, so that attention chooses; what closes a residual
branch is divided by sqrt(2 blocks); what the position table's scale multiplies by sqrt(width) is divided by it. BatchNorm's
statistics and the CTC output are then fitted to what the encoder really makes of speech-like features: the logits of a
random output layer would be the same token in every frame, because the states of one utterance share most of what they are.
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
"""Standard deviation of the logits over tokens: the best of 4,233 then has about half of the probability."""
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
    """Logits of standard deviation CONFIDENCE over `states` [n, width], the blank the best of a share BLANKS of them."""
    draw = torch.Generator().manual_seed(number)
    mean, deviation = states.mean(0), states.std(0).clamp(min=1e-3)
    weight = torch.empty_like(layer.weight).normal_(0.0, CONFIDENCE / math.sqrt(layer.in_features), generator=draw) / deviation
    layer.weight.copy_(weight)
    layer.bias.copy_(-weight @ mean)
    layer.weight[-1], layer.bias[-1] = 0.0, -2 * CONFIDENCE  # the end of a sentence, which CTC does not learn to say
    logits = layer(states)
    lead = logits[:, 1:].amax(1) - logits[:, 0]
    layer.bias[0] += lead.quantile(BLANKS)
