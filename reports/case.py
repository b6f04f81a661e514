"""One cell of the matrix, and the readable id a user types after -k."""

from __future__ import annotations

import msgspec


class Case(msgspec.Struct, frozen=True, order=True):
    """variant x graph passes x precision x batch x backend.

    `passes` are applied in order; the empty tuple is the raw export and reads "none".
    """

    variant: str
    passes: tuple[str, ...]
    precision: str
    batch: int
    backend: str

    @property
    def pipeline(self) -> str:
        """The passes as the user writes them: "fold+fuse_layernorm", or "none"."""
        return "+".join(self.passes) or "none"

    @property
    def id(self) -> str:
        """Such as `vit_digits-fold+fuse_layernorm-int8_entropy-b8-onnxruntime`."""
        return f"{self.variant}-{self.pipeline}-{self.precision}-b{self.batch}-{self.backend}"
