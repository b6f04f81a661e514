"""What a kernel timing depends on: GPU, driver, libraries, sources."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from plugins.device import current
from plugins.kernel import Kernel
from plugins.nvrtc import source_digest

_PACKAGES = ("torch", "triton", "cuda-bindings", "nvidia-cuda-nvrtc", "numpy")


def describe(kernels: Sequence[Kernel], command: str, commit: str = "") -> dict[str, str]:
    """Name to value, all text; `commit` overrides git where the sources travel without it."""
    device = current()
    driver = device.call("cuDriverGetVersion")
    facts = {
        "gpu": device.name,
        "compute_capability": device.gpu.arch,
        "multiprocessors": str(device.gpu.sms),
        "cuda_driver": f"{driver // 1000}.{driver % 1000 // 10}",
        "nvidia_driver": _nvidia_driver(),
        "python": platform.python_version(),
        "host": platform.machine(),
        "utc": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": commit or _git(),
        "kernel_sources": digest(kernels),
        "command": command,
    }
    return facts | {name: _package(name) for name in _PACKAGES}


def digest(kernels: Sequence[Kernel]) -> str:
    """One digest over every version's source and what it includes."""
    every = "".join(f"{k.id}:{source_digest(k.path)};" for k in sorted(kernels, key=lambda k: k.id))
    return sha256(every.encode()).hexdigest()[:16]


def _nvidia_driver() -> str:
    path = Path("/proc/driver/nvidia/version")
    words = path.read_text().split() if path.exists() else []
    return next((w for w in words if w[:1].isdigit() and w.count(".") >= 1), "unknown")


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _git() -> str:
    asked = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
