"""Constant folding, beyond what every pass must hold."""

from __future__ import annotations

from pathlib import Path

import onnx.backend.test
import pytest

from variants.passes.fold import fold

SQUEEZENET = Path(onnx.backend.test.__file__).parent / "data" / "light" / "light_squeezenet.onnx"


def test_folding_leaves_no_files_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here ONNX Runtime's symbolic shape inference gives up, and used to leave what it had."""
    model = onnx.load(SQUEEZENET)
    weights = {tensor.name for tensor in model.graph.initializer}
    fed = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(fed)
    model.ir_version = 4
    monkeypatch.chdir(tmp_path)
    _, rewrites = fold.run(model)
    assert rewrites > 0
    assert list(tmp_path.iterdir()) == []
