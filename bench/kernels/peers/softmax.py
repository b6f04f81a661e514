"""Masked softmax by torch (three kernels), torch.compile and a Triton kernel of one program a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from bench.kernels.peers.triton_kernels import softmax_row
from plugins.kernel import Problem

Call = Callable[[dict[str, Any]], tuple[Any, ...]]
SCALE = 0.125


def eager(t: dict[str, Any]) -> tuple[Any, ...]:
    """(y,) of x[batch, rows, cols] and mask[batch, cols] or none, in the dtype of x."""
    scores = t["x"] * SCALE
    if "mask" in t:
        scores = scores + t["mask"][:, None, :]
    return (torch.softmax(scores, dim=-1),)


def peers(problem: Problem) -> dict[str, Call]:
    """Contenders by name; each takes tensors by name and returns the outputs in order."""

    def triton(t: dict[str, Any]) -> tuple[Any, ...]:
        y = torch.empty_like(t["x"])
        softmax_row(t["x"], t.get("mask"), y, SCALE)
        return (y,)

    return {
        "eager": eager,
        "compile": torch.compile(eager, dynamic=False),
        "triton": triton,
    }
