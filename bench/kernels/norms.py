"""Replace a model's LayerNorms by kernel versions, and put them back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from plugins.device import Loaded, current
from plugins.kernel import Kernel, Problem, Unsupported
from plugins.nvrtc import CompileError
from plugins.prepare import prepare


class Swap:
    """The LayerNorms of one model. Their forward is exchanged, their weights stay where they are."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.norms = [m for m in model.modules() if isinstance(m, torch.nn.LayerNorm)]
        self.rows = 0
        self._loaded: dict[tuple[str, int, int, float], Loaded] = {}

    @property
    def count(self) -> int:
        """How many LayerNorms the model has."""
        return len(self.norms)

    def choices(self, versions: Sequence[Kernel], dtype: str) -> Mapping[str, Callable[[], str]]:
        """Name to what switches the model to it; that returns "" or why it cannot."""
        return {
            "torch": self._torch,
            "removed": lambda: self._all(lambda norm: lambda x: x),
            **{k.name: self._kernel(k, dtype) for k in versions},
        }

    def _torch(self) -> str:
        for norm in self.norms:
            norm.__dict__.pop("forward", None)
        return ""

    def _all(self, make: Callable[[Any], Callable[[Any], Any]]) -> str:
        for norm in self.norms:
            norm.__dict__["forward"] = make(norm)
        return ""

    def _kernel(self, kernel: Kernel, dtype: str) -> Callable[[], str]:
        def choose() -> str:
            def make(norm: Any) -> Callable[[Any], Any]:
                return lambda x: self._launch(kernel, dtype, norm, x)

            self._all(make)
            try:
                norm = self.norms[0]
                self._launch(
                    kernel,
                    dtype,
                    norm,
                    torch.zeros(
                        4,
                        *norm.normalized_shape,
                        device="cuda",
                        dtype=norm.weight.dtype,
                    ),
                )
            except (Unsupported, CompileError) as error:
                return str(error)
            return ""

        return choose

    def _launch(self, kernel: Kernel, dtype: str, norm: Any, x: Any) -> Any:
        cols = norm.normalized_shape[0]
        rows = x.numel() // cols
        self.rows = max(self.rows, rows)
        key = (kernel.name, rows, cols, norm.eps)
        if key not in self._loaded:
            own = replace(kernel, family=replace(kernel.family, constants={"eps": norm.eps}))
            problem = Problem({"rows": rows, "cols": cols}, dtype, {"affine": True})
            self._loaded[key] = current().load(prepare(own, problem, current().gpu))
        x = x.contiguous()
        y = torch.empty_like(x)
        pointers = {
            "x": x.data_ptr(),
            "gamma": norm.weight.data_ptr(),
            "beta": norm.bias.data_ptr(),
            "y": y.data_ptr(),
        }
        self._loaded[key].enqueue(pointers, torch.cuda.current_stream().cuda_stream)
        return y
