"""Vision Transformer through the network API: what transformers' ViTForImageClassification computes, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from common.errors import UserError
from variants.api_layers import Layers
from variants.api_network import ApiNetwork

if TYPE_CHECKING:
    import torch
    from tensorrt import ITensor  # type: ignore[import-not-found, unused-ignore]  # present with TensorRT or its stubs


def settings(module: torch.nn.Module) -> Mapping[str, float]:
    """From the configuration of transformers, a checkpoint's own where there is one."""
    config: Any = module.get_submodule("model").config
    if config.hidden_act != "gelu":
        raise UserError(f"network API: this checkpoint's activation is {config.hidden_act}; vit is written with gelu")
    return {"heads": config.num_attention_heads, "epsilon": config.layer_norm_eps}


def build(layers: Layers, images: ITensor, heads: int, epsilon: float) -> ITensor:
    """[batch, channels, image, image] -> logits [batch, classes]."""
    x = embeddings(layers, images, "model.vit.embeddings")
    for number in layers.numbered("model.vit.layers.{}.layernorm_before.weight"):
        x = block(layers, x, f"model.vit.layers.{number}", heads, epsilon)
    first = layers.constant(np.array(0, np.int64), "first/number")
    x = layers.gather(layers.layer_norm(x, "model.vit.layernorm", epsilon), first, 1, "first")
    return layers.linear(x, "model.classifier")


def embeddings(layers: Layers, images: ITensor, name: str) -> ITensor:
    """[batch, patches + 1, width]: the class token and the patches, each with its position."""
    weight = f"{name}.patch_embeddings.projection"
    patches = layers.convolution(images, weight, stride=layers.shape(f"{weight}.weight")[-1])
    patches = layers.rearrange(patches, f"{name}/patches", (0, 0, -1), after=(0, 2, 1))
    joined = layers.network.add_concatenation([class_token(layers, patches, f"{name}.cls_token"), patches])
    joined.axis = 1
    return layers.add(layers.of(joined, f"{name}/joined"), layers.weight(f"{name}.position_embeddings"), f"{name}/position")


def class_token(layers: Layers, patches: ITensor, name: str) -> ITensor:
    """The token [1, 1, width] once for each image: a slice of stride 0, its shape known at run time."""
    token = layers.weight(name)
    return layers.slice(token, (layers.size(patches, 0, f"{name}/batch"), 1, token.shape[2]), (0, 1, 1), f"{name}/expanded")


def block(layers: Layers, x: ITensor, name: str, heads: int, epsilon: float) -> ITensor:
    """x + attention(LN(x)), then x + mlp(LN(x))."""
    normed = layers.layer_norm(x, f"{name}.layernorm_before", epsilon)
    qkv = [layers.heads(layers.linear(normed, f"{name}.attention.{part}_proj"), heads, f"{name}/{part}") for part in "qkv"]
    mixed = layers.attention(qkv, (x.shape[2] // heads) ** -0.5, f"{name}.attention")
    x = layers.add(x, layers.linear(mixed, f"{name}.attention.o_proj"), f"{name}/attention")
    hidden = layers.gelu(layers.linear(layers.layer_norm(x, f"{name}.layernorm_after", epsilon), f"{name}.mlp.fc1"), f"{name}.mlp.act")
    return layers.add(x, layers.linear(hidden, f"{name}.mlp.fc2"), f"{name}/mlp")


vit = ApiNetwork(settings, build)
