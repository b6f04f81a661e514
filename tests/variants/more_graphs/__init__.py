"""Small graphs for every pass: a file here has `graphs() -> dict[str, onnx.ModelProto]`, by what they are about."""

from __future__ import annotations

import importlib
import pkgutil

import onnx


def more_graphs() -> dict[str, onnx.ModelProto]:
    """All of them, as "file: name"."""
    found: dict[str, onnx.ModelProto] = {}
    for module in pkgutil.iter_modules(__path__):
        made: dict[str, onnx.ModelProto] = importlib.import_module(f"{__name__}.{module.name}").graphs()
        found.update({f"{module.name}: {name}": model for name, model in made.items()})
    return found
