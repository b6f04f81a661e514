"""The layers of WeNet's encoder and decoder (arXiv 2102.01547), named as in its checkpoints, after conformer (arXiv 2005.08100).

Checked against wenet/transformer/*.py of github.com/wenet-e2e/wenet for where scales, masks and norms stand.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

Position = Literal["relative", "key", "absolute"]
"""Attention over i - j (Transformer-XL, arXiv 1901.02860), over the key's place alone (WeNet's released models, which left
the shift out), or positions added to the input."""


def padding_mask(lengths: Tensor, longest: int) -> Tensor:
    """bool [batch, longest], true where a place lies behind its sequence's end; lengths int [batch]."""
    return torch.arange(longest, device=lengths.device) >= lengths.unsqueeze(1)


def causal_mask(size: int, device: torch.device) -> Tensor:
    """bool [1, size, size], true where key j is not after query i."""
    places = torch.arange(size, device=device)
    return (places <= places.unsqueeze(-1)).unsqueeze(0)


def sinusoids(places: Tensor, width: int) -> Tensor:
    """Sines (even columns) and cosines (odd ones) of float32 places [n], wavelengths 2 pi to 20,000 pi: [n, width]."""
    angles = places.unsqueeze(1) * torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


class Positions(nn.Module):
    """Scales its input by sqrt(width) and gives the rows of the position table that its length needs.

    The table has `count` rows, or 2 count - 1 for "relative": offsets i - j from count - 1 down to 1 - count.
    """

    pe: Tensor

    def __init__(self, width: int, kind: Position, count: int) -> None:
        super().__init__()
        self.kind, self.count, self.scale = kind, count, math.sqrt(width)
        places = torch.arange(count - 1, -count, -1) if kind == "relative" else torch.arange(count)
        self.register_buffer("pe", sinusoids(places.float(), width).unsqueeze(0), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[batch, time, width] -> the same, and the table's rows [1, time or 2 time - 1, width]."""
        time = x.size(1)
        x = x * self.scale
        if self.kind == "relative":
            return x, self.pe[:, self.count - time : self.count + time - 1]
        rows = self.pe[:, :time]
        return (x + rows if self.kind == "absolute" else x), rows


class Subsampling(nn.Module):
    """Two 3x3 convolutions of stride 2: a quarter of the frames, each of seven frames of the input."""

    def __init__(self, bins: int, width: int, positions: Positions) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(1, width, 3, 2), nn.ReLU(), nn.Conv2d(width, width, 3, 2), nn.ReLU())
        self.out = nn.Sequential(nn.Linear(width * (((bins - 1) // 2 - 1) // 2), width))
        self.pos_enc = positions

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[batch, frames, bins], bool [batch, 1, frames] -> [batch, time, width], position rows, bool [batch, 1, time].

        The mask keeps the frames whose whole receptive field is speech.
        """
        x = self.conv(x.unsqueeze(1))
        batch, channels, time, bins = x.size()
        x = self.out(x.transpose(1, 2).contiguous().view(batch, time, channels * bins))
        x, rows = self.pos_enc(x)
        return x, rows, mask[:, :, 2::2][:, :, 2::2]


class Attention(nn.Module):
    """Multi-head attention, matrix products written out; what a mask hides weighs exactly nothing."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.linear_q = nn.Linear(width, width)
        self.linear_k = nn.Linear(width, width)
        self.linear_v = nn.Linear(width, width)
        self.linear_out = nn.Linear(width, width)

    def split(self, x: Tensor) -> Tensor:
        """[batch, time, width] -> [batch, heads, time, size]."""
        return x.view(x.size(0), -1, self.heads, self.size).transpose(1, 2)

    def forward(self, query: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """[batch, time, width] attends to [batch, keys, width] where bool [batch, 1 or time, keys] is true."""
        q, k, v = self.split(self.linear_q(query)), self.split(self.linear_k(memory)), self.split(self.linear_v(memory))
        return self.mix(q @ k.transpose(-2, -1) / math.sqrt(self.size), v, mask)

    def mix(self, scores: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        """Softmax over what the mask leaves; a query that may look nowhere gets zeros."""
        hidden = mask.unsqueeze(1).eq(0)
        weights = scores.masked_fill(hidden, -float("inf")).softmax(dim=-1).masked_fill(hidden, 0.0)
        mixed = (weights @ v).transpose(1, 2).contiguous()
        return self.linear_out(mixed.view(mixed.size(0), -1, self.heads * self.size))  # type: ignore[no-any-return]


class PositionAttention(Attention):
    """Self-attention whose scores also know positions: (q + u) k + (q + v) p, p from the table (arXiv 1901.02860, 3.3)."""

    def __init__(self, width: int, heads: int, kind: Position) -> None:
        super().__init__(width, heads)
        self.kind = kind
        self.linear_pos = nn.Linear(width, width, bias=False)
        self.pos_bias_u = nn.Parameter(torch.zeros(heads, self.size))
        self.pos_bias_v = nn.Parameter(torch.zeros(heads, self.size))

    def forward(self, x: Tensor, rows: Tensor, mask: Tensor) -> Tensor:
        """[batch, time, width], table rows [1, n, width], bool [batch, 1, time] -> [batch, time, width]."""
        q = self.linear_q(x).view(x.size(0), -1, self.heads, self.size)
        k, v, p = self.split(self.linear_k(x)), self.split(self.linear_v(x)), self.split(self.linear_pos(rows))
        content = (q + self.pos_bias_u).transpose(1, 2) @ k.transpose(-2, -1)
        place = (q + self.pos_bias_v).transpose(1, 2) @ p.transpose(-2, -1)
        if self.kind == "relative":
            place = shift(place)
        return self.mix((content + place) / math.sqrt(self.size), v, mask)


def shift(scores: Tensor) -> Tensor:
    """[..., i, n] over offsets time-1 to 1-time -> [..., i, j] over keys: each row starts one further left.

    One column of zeros in front makes the rows slip by one when the matrix is read with another width.
    """
    batch, heads, time, offsets = scores.size()
    padded = nn.functional.pad(scores, (1, 0)).view(batch, heads, offsets + 1, time)
    return padded[:, :, 1:].view(batch, heads, time, offsets)[:, :, :, :time]


class FeedForward(nn.Module):
    """Linear, activation, linear."""

    def __init__(self, width: int, hidden: int, activation: nn.Module) -> None:
        super().__init__()
        self.w_1 = nn.Linear(width, hidden)
        self.activation = activation
        self.w_2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, time, width] -> the same."""
        return self.w_2(self.activation(self.w_1(x)))  # type: ignore[no-any-return]


class Convolution(nn.Module):
    """Pointwise, GLU, depthwise over time, norm, swish, pointwise; padding is zeroed before and after, as WeNet does."""

    def __init__(self, width: int, kernel: int, norm: Literal["batch", "layer"], epsilon: float) -> None:
        super().__init__()
        self.pointwise_conv1 = nn.Conv1d(width, 2 * width, 1)
        self.depthwise_conv = nn.Conv1d(width, width, kernel, padding=(kernel - 1) // 2, groups=width)
        self.norm = nn.BatchNorm1d(width) if norm == "batch" else nn.LayerNorm(width, eps=epsilon)
        self.pointwise_conv2 = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[batch, time, width], bool [batch, 1, time] -> [batch, time, width]."""
        x = x.transpose(1, 2).masked_fill(~mask, 0.0)
        x = self.depthwise_conv(nn.functional.glu(self.pointwise_conv1(x), dim=1))
        x = self.norm(x) if isinstance(self.norm, nn.BatchNorm1d) else self.norm(x.transpose(1, 2)).transpose(1, 2)
        x = self.pointwise_conv2(nn.functional.silu(x)).masked_fill(~mask, 0.0)
        return x.transpose(1, 2)
