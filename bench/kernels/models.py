"""The networks that LayerNorm versions are timed in: seeded weights, the original sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AttentionInterface, BertConfig, BertModel, ViTConfig, ViTModel

Feed = dict[str, Any]


def _attention(module: Any, query: Any, key: Any, value: Any, attention_mask: Any, scaling: float, **_: Any) -> tuple[Any, None]:
    y = torch.nn.functional.scaled_dot_product_attention(query, key, value, scale=scaling)
    return y.transpose(1, 2).contiguous(), None


# Not the library's "sdpa": while a graph is captured it adds a mask of zeros, and with it torch leaves
# the fused backends for a float32 fallback three times as slow as the eager model. No input is padded here.
AttentionInterface.register("trtbench", _attention)


@dataclass(frozen=True, slots=True)
class Network:
    """`make` gives a fresh model on the GPU in float32 and `feed` its inputs for a batch."""

    name: str
    batches: tuple[int, ...]
    make: Callable[[], Any]
    feed: Callable[[int], Feed]

    def build(self, batch: int) -> tuple[Any, Feed]:
        """Model and inputs, the same at every call."""
        torch.manual_seed(0)
        model = self.make().cuda().eval()
        torch.manual_seed(1)
        return model, self.feed(batch)

    @staticmethod
    def cast(feed: Feed, dtype: torch.dtype) -> Feed:
        """Floating inputs in `dtype`, token numbers as they are."""
        return {k: v.to(dtype) if v.is_floating_point() else v for k, v in feed.items()}


def _vit() -> Any:
    return ViTModel(ViTConfig(attn_implementation="trtbench"), add_pooling_layer=False)


def _bert() -> Any:
    return BertModel(BertConfig(attn_implementation="trtbench"), add_pooling_layer=False)


def _tokens(length: int) -> Callable[[int], Feed]:
    return lambda batch: {"input_ids": torch.randint(0, 30522, (batch, length), device="cuda")}


MODELS = (
    Network(
        "ViT-B/16",
        (1, 8, 32),
        _vit,
        lambda batch: {"pixel_values": torch.randn(batch, 3, 224, 224, device="cuda")},
    ),
    Network("BERT-base, 128 tokens", (1, 8, 32), _bert, _tokens(128)),
    Network("BERT-base, 384 tokens", (1, 8, 32), _bert, _tokens(384)),
)
