"""NVIDIA's real Python bindings on a machine without TensorRT: empty libraries under the real names."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from plugins.tensorrt.bindings import Bindings, load

_LIBRARIES = {
    "nvinfer": (
        "createInferBuilder_INTERNAL",
        "createInferRefitter_INTERNAL",
        "createInferRuntime_INTERNAL",
        "getBuilderPluginRegistry",
        "getPluginRegistry",
    ),
    "nvonnxparser": ("createNvOnnxParserRefitter_INTERNAL", "createNvOnnxParser_INTERNAL", "getNvOnnxParserVersion"),
    "nvinfer_plugin": ("initLibNvInferPlugins",),
}


def unavailable() -> str | None:
    """Why the bindings cannot be loaded here; None where they can."""
    if find_spec("tensorrt_bindings") is None:
        return "the bindings are not installed: pip install --no-deps tensorrt_cu13_bindings"
    return None if shutil.which("gcc") else "gcc is not installed"


@contextmanager
def bindings(folder: Path) -> Iterator[Bindings]:
    """The bindings as `tensorrt`, for as long as the context lasts; libraries are built in `folder`."""
    spec = find_spec("tensorrt_bindings")
    assert spec is not None
    assert spec.origin is not None
    found = re.search(r'__version__ = "(\d+)', Path(spec.origin).read_text(encoding="utf-8"))
    assert found is not None
    for name, functions in _LIBRARIES.items():
        _library(folder / f"lib{name}.so.{found.group(1)}", functions)
    before = set(sys.modules)
    try:
        # The plugin package imports `tensorrt`, which the full wheel makes an alias of the bindings.
        sys.modules["tensorrt"] = import_module("tensorrt_bindings")
        sys.modules["tensorrt.plugin"] = import_module("tensorrt_bindings.plugin")
        yield load()
    finally:
        for name in set(sys.modules) - before:
            if name.split(".")[0] == "tensorrt":
                del sys.modules[name]


def _library(path: Path, functions: tuple[str, ...]) -> None:
    source = path.with_suffix(".c")
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in functions), encoding="utf-8")
    subprocess.run(["gcc", "-shared", "-fPIC", f"-Wl,-soname,{path.name}", "-o", str(path), str(source)], check=True)
    ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
