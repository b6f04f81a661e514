"""UniFormer's image model (arXiv 2201.09450): convolutional blocks where tokens are many, global attention where they are few.

Own code after the paper; where it is silent (bias, epsilon, order of the depth-wise product) after the authors'
image_classification/models/uniformer.py (github.com/Sense-X/UniFormer, Apache-2.0), whose names of parameters are
kept, so that a published checkpoint's state dict fits.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from variants import seeded

MLP_RATIO = 4
ATTENTION_EPS = 1e-6
IMAGE_MULTIPLE = 32
"""Four patch embeddings, of 4, 2, 2 and 2 pixels a side: other image sizes would lose rows."""


@dataclass(frozen=True, slots=True)
class UniFormerConfig:
    """Blocks and channels of the four stages; the first two are convolutional, the others attend. Defaults: UniFormer-S."""

    depths: tuple[int, int, int, int] = (3, 4, 8, 3)
    widths: tuple[int, int, int, int] = (64, 128, 320, 512)
    head_width: int = 64
    classes: int = 1000


class PatchEmbed(nn.Module):
    """Patches that do not overlap -> a smaller map of more channels, normalised over the channels."""

    def __init__(self, channels: int, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, width, patch, patch)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, channels, h, w] float32 -> [batch, width, h / patch, w / patch] float32."""
        return self.norm(self.proj(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # type: ignore[no-any-return]


class ConvMlp(nn.Module):
    """1x1 convolution, GELU (erf), 1x1 convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(width, MLP_RATIO * width, 1)
        self.act = nn.GELU()
        self.fc2 = nn.Conv2d(MLP_RATIO * width, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, width, h, w] float32 -> the same."""
        return self.fc2(self.act(self.fc1(x)))  # type: ignore[no-any-return]


class LocalBlock(nn.Module):
    """Position by depth-wise 3x3; local MHRA (its learned 5x5 affinity is a depth-wise convolution); convolutional MLP."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pos_embed = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv1 = nn.Conv2d(width, width, 1)
        self.attn = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.conv2 = nn.Conv2d(width, width, 1)
        self.norm2 = nn.BatchNorm2d(width)
        self.mlp = ConvMlp(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, width, h, w] float32 -> the same."""
        x = x + self.pos_embed(x)
        x = x + self.conv2(self.attn(self.conv1(self.norm1(x))))
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Multi-head self-attention over all positions, its matrix products written out."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.head_width = heads, width // heads
        self.scale = self.head_width**-0.5
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, positions, width] float32 -> the same."""
        batch, positions, _ = x.shape
        qkv = self.qkv(x).reshape(batch, positions, 3, self.heads, self.head_width)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = ((q @ k.transpose(-2, -1)) * self.scale).softmax(dim=-1) @ v
        return self.proj(mixed.transpose(1, 2).reshape(batch, positions, -1))  # type: ignore[no-any-return]


class Mlp(nn.Module):
    """Linear, GELU (erf), linear."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, MLP_RATIO * width)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(MLP_RATIO * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, positions, width] float32 -> the same."""
        return self.fc2(self.act(self.fc1(x)))  # type: ignore[no-any-return]


class GlobalBlock(nn.Module):
    """Position by depth-wise 3x3; attention over all positions and MLP, both behind a LayerNorm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.pos_embed = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm1 = nn.LayerNorm(width, ATTENTION_EPS)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, ATTENTION_EPS)
        self.mlp = Mlp(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, width, h, w] float32 -> the same."""
        x = x + self.pos_embed(x)
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.attn(self.norm1(tokens))
        tokens = tokens + self.mlp(self.norm2(tokens))
        return tokens.transpose(1, 2).reshape(x.shape)  # type: ignore[no-any-return]


class UniFormer(nn.Module):
    """Images to class logits."""

    def __init__(self, config: UniFormerConfig) -> None:
        super().__init__()
        first, second, third, fourth = config.widths
        self.patch_embed1 = PatchEmbed(3, first, 4)
        self.patch_embed2 = PatchEmbed(first, second, 2)
        self.patch_embed3 = PatchEmbed(second, third, 2)
        self.patch_embed4 = PatchEmbed(third, fourth, 2)
        self.blocks1 = nn.ModuleList(LocalBlock(first) for _ in range(config.depths[0]))
        self.blocks2 = nn.ModuleList(LocalBlock(second) for _ in range(config.depths[1]))
        self.blocks3 = nn.ModuleList(GlobalBlock(third, third // config.head_width) for _ in range(config.depths[2]))
        self.blocks4 = nn.ModuleList(GlobalBlock(fourth, fourth // config.head_width) for _ in range(config.depths[3]))
        self.norm = nn.BatchNorm2d(fourth)
        self.head = nn.Linear(fourth, config.classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """[batch, 3, height, width] float32, sides multiples of 32 -> logits [batch, classes] float32."""
        stages = (
            (self.patch_embed1, self.blocks1),
            (self.patch_embed2, self.blocks2),
            (self.patch_embed3, self.blocks3),
            (self.patch_embed4, self.blocks4),
        )
        x = images
        for patch_embed, blocks in stages:
            x = patch_embed(x)
            for block in blocks:
                x = block(x)
        return self.head(self.norm(x).flatten(2).mean(-1))  # type: ignore[no-any-return]


def seeded_uniformer(config: UniFormerConfig, seed: int = 0) -> UniFormer:
    """A network in evaluation mode with the weights of `seed`; three residual branches a block, see variants/seeded.py."""
    model = UniFormer(config)
    branch = (3 * sum(config.depths)) ** -0.5
    ends = (".pos_embed", ".conv2", ".attn.proj", ".mlp.fc2")
    seeded.fill(model, seed, lambda name, part: branch if name.endswith(ends) else 1.0)
    return model.eval()
