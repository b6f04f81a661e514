"""UniFormer through the network API: what variants/networks/uniformer.py computes, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from variants.api_layers import Layers
from variants.api_network import ApiNetwork

if TYPE_CHECKING:
    import torch
    from tensorrt import ITensor  # type: ignore[import-not-found, unused-ignore]  # present with TensorRT or its stubs

EPSILON, ATTENTION_EPSILON = 1e-5, 1e-6
LAST, FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
"""Channels last, and back."""


def settings(module: torch.nn.Module) -> Mapping[str, float]:
    """All heads of one network are equally wide."""
    attention: Any = module.get_submodule("blocks4.0.attn")
    return {"head_width": attention.qkv.in_features // attention.heads}


def build(layers: Layers, images: ITensor, head_width: int) -> ITensor:
    """[batch, 3, height, width] -> logits [batch, classes]."""
    x = images
    for stage in (1, 2, 3, 4):
        x = patch_embed(layers, x, f"patch_embed{stage}")
        for number in layers.numbered(f"blocks{stage}.{{}}.pos_embed.weight"):
            name = f"blocks{stage}.{number}"
            x = local_block(layers, x, name) if layers.has(f"{name}.conv1.weight") else global_block(layers, x, name, head_width)
    x = layers.batch_norm(x, "norm", EPSILON)
    mean = layers.network.add_reduce(x, layers.trt.ReduceOperation.AVG, 1 << 2 | 1 << 3, False)
    return layers.linear(layers.of(mean, "mean"), "head")


def patch_embed(layers: Layers, x: ITensor, name: str) -> ITensor:
    """Patches that do not overlap, normalised over the channels."""
    patch: int = layers.shape(f"{name}.proj.weight")[-1]
    x = layers.rearrange(layers.convolution(x, f"{name}.proj", patch), f"{name}/last", before=LAST)
    return layers.rearrange(layers.layer_norm(x, f"{name}.norm", EPSILON), f"{name}/first", before=FIRST)


def local_block(layers: Layers, x: ITensor, name: str) -> ITensor:
    """Position, depth-wise 5x5 affinity and convolutional MLP, each added to its input."""
    x = layers.add(x, layers.convolution(x, f"{name}.pos_embed", padding=1), f"{name}/position")
    local = layers.convolution(layers.batch_norm(x, f"{name}.norm1", EPSILON), f"{name}.conv1")
    local = layers.convolution(layers.convolution(local, f"{name}.attn", padding=2), f"{name}.conv2")
    x = layers.add(x, local, f"{name}/local")
    hidden = layers.convolution(layers.batch_norm(x, f"{name}.norm2", EPSILON), f"{name}.mlp.fc1")
    return layers.add(x, layers.convolution(layers.gelu(hidden, f"{name}.mlp.act"), f"{name}.mlp.fc2"), f"{name}/mlp")


def global_block(layers: Layers, x: ITensor, name: str, head_width: int) -> ITensor:
    """Position by convolution, then attention over all positions and MLP, on [batch, positions, width]."""
    x = layers.add(x, layers.convolution(x, f"{name}.pos_embed", padding=1), f"{name}/position")
    map_shape = layers.of(layers.network.add_shape(x), f"{name}/shape")
    tokens = layers.rearrange(x, f"{name}/tokens", (0, 0, -1), after=(0, 2, 1))
    mixed = attention(layers, layers.layer_norm(tokens, f"{name}.norm1", ATTENTION_EPSILON), f"{name}.attn", head_width)
    tokens = layers.add(tokens, mixed, f"{name}/attention")
    hidden = layers.linear(layers.layer_norm(tokens, f"{name}.norm2", ATTENTION_EPSILON), f"{name}.mlp.fc1")
    tokens = layers.add(tokens, layers.linear(layers.gelu(hidden, f"{name}.mlp.act"), f"{name}.mlp.fc2"), f"{name}/mlp")
    return layers.rearrange(tokens, f"{name}/map", map_shape, before=(0, 2, 1))


def attention(layers: Layers, x: ITensor, name: str, head_width: int) -> ITensor:
    """Query, key and value from one product."""
    heads = x.shape[-1] // head_width
    packed = layers.rearrange(layers.linear(x, f"{name}.qkv"), f"{name}/qkv", (0, 0, 3, heads, head_width), after=(2, 0, 3, 1, 4))
    qkv = [
        layers.gather(packed, layers.constant(np.array(number, np.int64), f"{name}/{part}/number"), 0, f"{name}/{part}")
        for number, part in enumerate("qkv")
    ]
    return layers.linear(layers.attention(qkv, head_width**-0.5, name), f"{name}.proj")


uniformer_s = ApiNetwork(settings, build)
