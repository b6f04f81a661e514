"""GELU by torch, torch.compile and a Triton kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from bench.kernels.peers.triton_kernels import pointwise
from plugins.kernel import Problem

Call = Callable[[dict[str, Any]], tuple[Any, ...]]


def reference(t: dict[str, Any], problem: Problem) -> tuple[Any, ...]:
    """(y,) of x in the dtype of x."""
    form = "tanh" if problem.options["form"] == "tanh" else "none"
    return (torch.nn.functional.gelu(t["x"], approximate=form),)


def peers(problem: Problem) -> dict[str, Call]:
    """Contenders by name; each takes tensors by name and returns the outputs in order."""

    def eager(t: dict[str, Any]) -> tuple[Any, ...]:
        return reference(t, problem)

    def triton(t: dict[str, Any]) -> tuple[Any, ...]:
        y = torch.empty_like(t["x"])
        pointwise(t["x"], y, "gelu_" + str(problem.options["form"]))
        return (y,)

    return {
        "eager": eager,
        "compile": torch.compile(eager, dynamic=False),
        "triton": triton,
    }
