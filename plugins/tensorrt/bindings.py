"""TensorRT's Python bindings, where they can register a quick plugin; a reason where they cannot."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorrt  # type: ignore[import-not-found, unused-ignore]  # present with TensorRT or its stubs

OLDEST = (10, 13)


class NoPlugins(Exception):
    """These bindings cannot take a quick plugin; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Bindings:
    """The two modules that a quick plugin speaks to."""

    trt: ModuleType
    plugin: ModuleType

    def dtype(self, value: tensorrt.DataType) -> str:
        """ "fp32", "fp16" or "bf16"; raises NoPlugins for any other type."""
        words = {self.trt.float32: "fp32", self.trt.float16: "fp16", self.trt.bfloat16: "bf16"}
        if value not in words:
            raise NoPlugins(f"the kernels take fp32, fp16 and bf16, not {value}: cast the input")
        return words[value]


def unavailable() -> str | None:
    """Why no plugin can be registered here, in words that say what to do; None where one can."""
    if find_spec("tensorrt") is None:
        return "tensorrt is not installed: pip install 'tensorrt>=10.13'"
    return None


def load(name: str = "tensorrt") -> Bindings:
    """Import the bindings called `name`; raises NoPlugins.

    TensorRT-RTX is refused before anything of it is imported: its ONNX parser ends the process
    when a Python plugin creator is registered.
    """
    if name.startswith("tensorrt_rtx"):
        raise NoPlugins("TensorRT-RTX takes no plugins: build the engine with TensorRT, as docs/plugins.md shows")
    if find_spec(name) is None:
        raise NoPlugins(unavailable() or f"{name} is not installed")
    trt = import_module(name)
    found = tuple(int(part) for part in trt.__version__.split(".")[:2])
    if found < OLDEST or not hasattr(trt, "IPluginV3QuickAOTBuild"):
        raise NoPlugins(f"TensorRT {trt.__version__} has no ahead-of-time quick plugins: pip install 'tensorrt>=10.13'")
    return Bindings(trt, import_module(f"{name}.plugin"))
