"""Skip-LayerNorm by torch (two kernels), torch.compile and a Triton kernel of one program a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from bench.kernels.peers.triton_kernels import skip_layernorm_row
from plugins.kernel import Problem

Call = Callable[[dict[str, Any]], tuple[Any, ...]]
EPS = 1e-5


def eager(t: dict[str, Any]) -> tuple[Any, ...]:
    """(y, total) of x, residual, bias, gamma, beta; float64 tensors give the float64 answer."""
    total = t["x"] + t["bias"] + t["residual"]
    y = torch.nn.functional.layer_norm(total, total.shape[-1:], t["gamma"], t["beta"], EPS)
    return (y, total)


def _without_total(t: dict[str, Any]) -> tuple[Any, ...]:
    return eager(t)[:1]


def peers(problem: Problem) -> dict[str, Call]:
    """Contenders by name; each takes tensors by name and returns the outputs in order."""
    keep = bool(problem.options["keep"])
    plain = eager if keep else _without_total

    def triton(t: dict[str, Any]) -> tuple[Any, ...]:
        y = torch.empty_like(t["x"])
        total = torch.empty_like(y) if keep else None
        skip_layernorm_row(t, y, total, EPS)
        return (y, total) if keep else (y,)

    return {
        "eager": plain,
        "compile": torch.compile(plain, dynamic=False),
        "triton": triton,
    }
