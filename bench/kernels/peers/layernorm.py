"""LayerNorm by torch, torch.compile and a Triton kernel of one program a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from bench.kernels.peers.triton_kernels import layernorm_row
from plugins.kernel import Problem

Call = Callable[[dict[str, Any]], tuple[Any, ...]]
EPS = 1e-5


def eager(t: dict[str, Any]) -> tuple[Any, ...]:
    """(y,) of x, gamma, beta; float64 tensors give the float64 answer."""
    x = t["x"]
    return (torch.nn.functional.layer_norm(x, x.shape[-1:], t.get("gamma"), t.get("beta"), EPS),)


def peers(problem: Problem) -> dict[str, Call]:
    """Contenders by name; each takes tensors by name and returns the outputs in order."""
    return {
        "eager": eager,
        "compile": torch.compile(eager, dynamic=False),
        "triton": _triton,
    }


def _triton(t: dict[str, Any]) -> tuple[Any, ...]:
    x = t["x"]
    y = torch.empty_like(x)
    layernorm_row(x, t.get("gamma"), t.get("beta"), y, EPS)
    return (y,)
