"""TensorRT-RTX: NVIDIA's parser and builder for a stated compute capability, build-only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import msgspec

from bench.backend import Backend, BuildInfo, BuildOptions, Runner
from common.errors import UserError
from reports.layers.layer import Layer
from variants.variant import Tensors

ROOT = Path(__file__).resolve().parent.parent.parent


class TensorRTRTX(Backend):
    """Each build has a process of its own and a time limit: a parser that aborts takes nothing with it."""

    def unavailable(self) -> str | None:
        """See Backend."""
        return None if find_spec("tensorrt_rtx") else "tensorrt_rtx is not installed: pip install tensorrt-rtx"

    def identity(self, options: BuildOptions) -> tuple[tuple[str, str], ...]:
        """TF32 is off unless the precision asks for it, so that fp32 means IEEE fp32; detailed verbosity names the layers."""
        return (
            ("tensorrt_rtx", version("tensorrt-rtx")),
            ("compute capability", options.compute_capability),
            ("shapes", "; ".join(f"{name} {_span(shapes)}" for name, shapes in options.profile)),
            ("TF32", "on" if "TF32" in options.flags else "off"),
            ("profiling_verbosity", "DETAILED"),
        )

    def build(self, model: Path, plan: Path, options: BuildOptions) -> BuildInfo:
        """Raises UserError when the builder crashed or ran over its time limit."""
        with tempfile.TemporaryDirectory() as folder:
            answer = Path(folder) / "answer.json"
            command = [sys.executable, "-m", "bench.backends._rtx_worker", str(model), str(plan), str(answer)]
            command += [msgspec.json.encode(options.profile).decode(), options.compute_capability, options.source, *options.flags]
            try:
                done = subprocess.run(
                    command, cwd=ROOT, capture_output=True, text=True, timeout=options.limit_s, env=os.environ | {"PYTHONPATH": str(ROOT)}
                )
            except subprocess.TimeoutExpired as error:
                raise UserError(f"timed out: no plan within {options.limit_s:g} s; raise build_limit_s in the preset") from error
            if done.returncode or not answer.exists():
                raise UserError(f"crashed: {_how(done.returncode)}{_last_line(done.stderr)}")
            return msgspec.json.decode(answer.read_bytes(), type=BuildInfo)

    def why_not_run(self) -> str | None:
        """Build-only everywhere: nobody has run a plan through this backend yet (docs/verified.md)."""
        return "build-only: plans are not run by this backend"

    def why_no_flags(self, flags: tuple[str, ...]) -> str | None:
        """Those of its worker."""
        unknown = sorted(set(flags) - {"TF32"})
        return f"no builder flag {', '.join(unknown)} here" if unknown else None

    def built_for(self, compute_capability: str) -> str:
        """The preset's."""
        return compute_capability

    def why_no_plugins(self) -> str | None:
        """Its parser ends the process when a Python plugin is registered; without one it builds ONNX's own LayerNormalization."""
        return "TensorRT-RTX takes no plugins (docs/plugins.md)"

    def why_no_network_api(self) -> str | None:
        """It has the same Python API as TensorRT."""
        return None

    def load(self, plan: Path, options: BuildOptions) -> Runner:
        """Raises UserError: build-only."""
        raise UserError(f"tensorrt_rtx: {self.why_not_run()}")

    def profile(self, plan: Path, feeds: Tensors, options: BuildOptions) -> tuple[Layer, ...]:
        """Raises UserError: build-only."""
        raise UserError(f"tensorrt_rtx: {self.why_not_run()}")


def _span(shapes: tuple[tuple[int, ...], ...]) -> str:
    return " to ".join(dict.fromkeys("x".join(map(str, shape)) for shape in shapes))


def _how(status: int) -> str:
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f": {lines[-1]}" if lines else ""


tensorrt_rtx = TensorRTRTX()
