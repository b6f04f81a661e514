"""What this machine can run, and what to install for the rest."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec

from bench.backend import Backend
from bench.environment import gpu
from common.discover import discover
from plugins.tensorrt import bindings
from variants.graph_pass import GraphPass
from variants.precision import Precision
from variants.variant import Model

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the examination; `remedy` is "" where nothing is missing. `needed` when no benchmark runs without it."""

    what: str
    detail: str
    remedy: str = ""
    needed: bool = False


def examine() -> Iterator[Finding]:
    """Backends first, then what models, passes and the report need."""
    for name, declared in discover("bench.backends", Backend).items():
        missing = declared.value.unavailable()
        build_only = declared.value.why_not_run() if missing is None else None
        yield Finding(f"backend {name}", build_only or "builds, runs and profiles", missing or "", needed=name == "onnxruntime")
    yield Finding("TensorRT plugins", "put the kernels into an engine: docs/plugins.md", bindings.unavailable() or "")
    yield _module("torch", "exports the models and is the reference", "pip install torch==2.13.0", needed=True)
    for distribution, named in _by_distribution().items():
        yield _module(distribution.replace("-", "_"), f"graph passes {', '.join(named)}", f"pip install {distribution}")
    no_gpu = "" if gpu() else "an NVIDIA driver and GPU, to time TensorRT engines"
    yield Finding("GPU", gpu() or "no NVIDIA driver: engines are built, not timed", no_gpu)
    found = next((path for name in BROWSERS if (path := shutil.which(name))), "")
    yield Finding("browser", found or "none: the tests of the report are skipped", "" if found else "apt-get install chromium")
    counts = ", ".join(
        f"{len(discover(package, kind))} {what}"
        for package, kind, what in (
            ("variants.models", Model, "models"),
            ("variants.passes", GraphPass, "passes"),
            ("variants.precisions", Precision, "precisions"),
        )
    )
    yield Finding("matrix", counts)


def _by_distribution() -> dict[str, list[str]]:
    """The passes by the package that does their work."""
    found: dict[str, list[str]] = {}
    for name, graph_pass in discover("variants.passes", GraphPass).items():
        found.setdefault(graph_pass.value.distribution or "onnx", []).append(name)
    return found


def _module(name: str, detail: str, remedy: str, needed: bool = False) -> Finding:
    return Finding(name, detail, "" if find_spec(name) else f"{name} is not installed: {remedy}", needed)
