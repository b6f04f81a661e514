"""What is slow to make is made once."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from variants.export import export, reference
from variants.models.vit_digits import vit_digits
from variants.variant import Array


@pytest.fixture(scope="session")
def vit_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """vit_digits, exported."""
    path = tmp_path_factory.mktemp("vit") / "vit_digits.onnx"
    export(vit_digits, path)
    return path


@pytest.fixture(scope="session")
def vit(vit_file: Path) -> onnx.ModelProto:
    """vit_digits as exported; not to be changed."""
    return onnx.load(vit_file)


@pytest.fixture(scope="session")
def vit_reference() -> dict[str, Array]:
    """The PyTorch outputs of vit_digits on the test images."""
    return reference(vit_digits)
