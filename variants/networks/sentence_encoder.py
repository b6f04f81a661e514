"""A BERT encoder with mean pooling: one vector of length 1 for each sentence."""

from __future__ import annotations

import torch
from torch import nn


class SentenceEncoder(nn.Module):
    """`encoder` is a BertModel of the transformers library, without its pooler."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Token ids and mask int64 [n, sequence] -> embeddings float32 [n, width]: the mean over what the mask leaves, normalised."""
        tokens = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        kept = attention_mask.unsqueeze(-1).to(tokens.dtype)
        mean = (tokens * kept).sum(1) / kept.sum(1).clamp(min=1)
        return nn.functional.normalize(mean, dim=-1)
