"""Where it is measured: the machine, the versions, the commit."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from reports.record import Environment

LIBRARIES = (
    *("torch", "onnx", "onnxruntime", "onnxruntime-gpu", "tensorrt", "tensorrt-rtx"),
    *("polygraphy", "onnx-graphsurgeon", "onnxoptimizer", "onnxslim", "onnxsim"),
    *("numpy", "scikit-learn", "pytest", "pytest-benchmark"),
)
COMPARED = ("CPU", "cores", "GPU", "Python", "onnxruntime", "onnxruntime-gpu", "tensorrt", "tensorrt-rtx", "threads")
"""Facts that must be equal before two records may be compared."""


def cpu_model() -> str:
    """The processor's name from /proc/cpuinfo, else what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = names.get("flags", "").split()
    wide = next((name for name in ("avx512_vnni", "avx512f", "avx_vnni", "avx2") if name in flags), "")
    name, family, model = names.get("model name", platform.machine()), names.get("cpu family", "?"), names.get("model", "?")
    return f"{name} family {family} model {model} {wide}".strip()


@cache
def gpu() -> str:
    """GPU name, driver and compute capability from nvidia-smi; "" where there is none."""
    if not shutil.which("nvidia-smi"):
        return ""
    query = ["nvidia-smi", "--query-gpu=name,driver_version,compute_cap,uuid", "--format=csv,noheader"]
    found = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    return found.stdout.strip().splitlines()[0] if found.returncode == 0 and found.stdout.strip() else ""


def _git(*arguments: str) -> str:
    root = Path(__file__).resolve().parent.parent
    try:
        found = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def environment(threads: int) -> Environment:
    """The facts of this machine in reading order, and the key over COMPARED."""
    load = "/".join(f"{value:.1f}" for value in os.getloadavg())
    commit = _git("rev-parse", "HEAD")
    facts = {
        "CPU": cpu_model(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "GPU": gpu() or "none",
        "OS": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "threads": str(threads),
        "load at start (1/5/15 min)": load,
        "commit": (commit or "not a git checkout") + (" (with uncommitted changes)" if _git("status", "--porcelain") else ""),
        **{name: _installed(name) for name in LIBRARIES},
    }
    key = hashlib.sha256("\n".join(facts[name] for name in COMPARED).encode()).hexdigest()[:16]
    return Environment(key, tuple(facts.items()))
