"""One cell of the matrix, and the readable id a user types after -k."""

from __future__ import annotations

import msgspec

ONNX, API = "onnx", "api"
"""Where the network comes from: an ONNX export, or layers added through TensorRT's Python API."""


class Case(msgspec.Struct, frozen=True, order=True):
    """variant x graph passes x precision x batch x backend.

    `passes` are applied in order; the empty tuple is the raw export and reads "none". `source` is ONNX or API; a network of
    the API, which takes no passes, reads "api" in their place.
    """

    variant: str
    passes: tuple[str, ...]
    precision: str
    batch: int
    backend: str
    source: str = ONNX

    @property
    def pipeline(self) -> str:
        """The passes as the user writes them: "fold+fuse_layernorm", or "none"; before them "api" where that is the source."""
        return "+".join(([] if self.source == ONNX else [self.source]) + list(self.passes)) or "none"

    @property
    def id(self) -> str:
        """Such as `vit_digits-fold+fuse_layernorm-int8_entropy-b8-onnxruntime`."""
        return f"{self.variant}-{self.pipeline}-{self.precision}-b{self.batch}-{self.backend}"
