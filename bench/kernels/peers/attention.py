"""Attention by the backends of torch's scaled_dot_product_attention, each forced by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from plugins.kernel import Problem

Call = Callable[[dict[str, Any]], tuple[Any, ...]]
SCALE = 0.125
BACKENDS = {
    "sdpa-flash": SDPBackend.FLASH_ATTENTION,
    "sdpa-cudnn": SDPBackend.CUDNN_ATTENTION,
    "sdpa-efficient": SDPBackend.EFFICIENT_ATTENTION,
}


def truth(t: dict[str, Any]) -> tuple[Any, ...]:
    """(y,) of q, k, v[batch, heads, seq, width] and mask[batch, seq] or none, operator by operator."""
    scores = t["q"] @ t["k"].mT * SCALE
    if "mask" in t:
        scores = scores + t["mask"][:, None, None, :]
    return (torch.softmax(scores, dim=-1) @ t["v"],)


def peers(problem: Problem) -> dict[str, Call]:
    """Contenders by name; a backend that refuses the problem raises torch's own sentence."""
    return {name: _sdpa(backend) for name, backend in BACKENDS.items()}


def _sdpa(backend: SDPBackend) -> Call:
    def call(t: dict[str, Any]) -> tuple[Any, ...]:
        batch, heads, seq, _ = t["q"].shape
        # Seen as [batch, heads, seq, seq] without a copy: no launch is charged to the peer.
        mask = t["mask"][:, None, None, :].expand(batch, heads, seq, seq) if "mask" in t else None
        with sdpa_kernel([backend]):
            y = torch.nn.functional.scaled_dot_product_attention(t["q"], t["k"], t["v"], attn_mask=mask, scale=SCALE)
        return (y,)

    return call
