"""BERT through the network API: what transformers' BertForMaskedLM computes, layer by layer, with a mask or without."""

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

ROOT = "model.bert"
HEAD = "model.cls.predictions"


def settings(module: torch.nn.Module) -> Mapping[str, float]:
    """From the configuration of transformers, a checkpoint's own where there is one."""
    config: Any = module.get_submodule("model").config
    if config.hidden_act != "gelu":
        raise UserError(f"network API: this checkpoint's activation is {config.hidden_act}; bert is written with gelu")
    return {"heads": config.num_attention_heads, "epsilon": config.layer_norm_eps}


def build(layers: Layers, ids: ITensor, mask: ITensor | None = None, *, heads: int, epsilon: float) -> ITensor:
    """Token ids int64 [batch, sequence], and the mask alike -> logits [batch, sequence, vocabulary]."""
    words = layers.weight(f"{ROOT}.embeddings.word_embeddings.weight")
    x = embeddings(layers, ids, words, epsilon)
    hidden = None if mask is None else hide(layers, mask)
    for number in layers.numbered(f"{ROOT}.encoder.layer.{{}}.output.dense.weight"):
        x = block(layers, x, hidden, f"{ROOT}.encoder.layer.{number}", heads, epsilon)
    x = layers.gelu(layers.linear(x, f"{HEAD}.transform.dense"), f"{HEAD}.transform.act")
    return decoder(layers, layers.layer_norm(x, f"{HEAD}.transform.LayerNorm", epsilon), words)


def embeddings(layers: Layers, ids: ITensor, words: ITensor, epsilon: float) -> ITensor:
    """Word, position and the first token type, normalised."""
    name = f"{ROOT}.embeddings"
    x = layers.gather(words, ids, 0, f"{name}/words")
    kinds = layers.weight(f"{name}.token_type_embeddings.weight", 3)
    x = layers.add(x, layers.slice(kinds, (1, 1, kinds.shape[2]), (1, 1, 1), f"{name}/type"), f"{name}/typed")
    table = layers.weight(f"{name}.position_embeddings.weight", 3)
    rows = layers.slice(table, (1, layers.size(ids, 1, f"{name}/sequence"), table.shape[2]), (1, 1, 1), f"{name}/position")
    return layers.layer_norm(layers.add(x, rows, f"{name}/placed"), f"{name}.LayerNorm", epsilon)


def hide(layers: Layers, mask: ITensor) -> ITensor:
    """int64 [batch, sequence] of 1 and 0 -> [batch, 1, 1, sequence]: 0 where it reads, the lowest number where it does not."""
    x = layers.rearrange(layers.cast(mask, "mask/cast"), "mask/rows", (0, 1, 1, -1))
    minus_one = layers.constant(np.full((1, 1, 1, 1), -1, np.float32), "mask/minus_one")
    return layers.scale(layers.add(x, minus_one, "mask/off"), float(np.finfo(layers.dtype).max), "mask/hide")


def block(layers: Layers, x: ITensor, hidden: ITensor | None, name: str, heads: int, epsilon: float) -> ITensor:
    """LN(x + attention(x)), then LN(x + mlp(x))."""
    attention = f"{name}.attention"
    qkv = [layers.heads(layers.linear(x, f"{attention}.self.{part}"), heads, f"{attention}/{part}") for part in ("query", "key", "value")]
    mixed = layers.attention(qkv, (x.shape[2] // heads) ** -0.5, f"{attention}.self", hidden)
    x = layers.add(x, layers.linear(mixed, f"{attention}.output.dense"), f"{attention}/added")
    x = layers.layer_norm(x, f"{attention}.output.LayerNorm", epsilon)
    inner = layers.gelu(layers.linear(x, f"{name}.intermediate.dense"), f"{name}.intermediate.act")
    return layers.layer_norm(
        layers.add(x, layers.linear(inner, f"{name}.output.dense"), f"{name}/added"), f"{name}.output.LayerNorm", epsilon
    )


def decoder(layers: Layers, x: ITensor, words: ITensor) -> ITensor:
    """A product with the word embeddings, whose constant it shares; a checkpoint whose decoder is not tied brings its own."""
    own = f"{HEAD}.decoder.weight"
    table = layers.weight(own) if layers.has(own) else words
    name = f"{HEAD}.decoder/weight"
    weight = layers.rearrange(table, name, (1, *table.shape))
    bias = f"{HEAD}.decoder.bias" if layers.has(f"{HEAD}.decoder.bias") else f"{HEAD}.bias"
    return layers.add(layers.matmul(x, weight, f"{HEAD}.decoder/matmul", transpose=True), layers.weight(bias, 3), f"{HEAD}.decoder/bias")


bert = ApiNetwork(settings, build)
