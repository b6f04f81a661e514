"""ONNX Runtime on the CPU, one thread, its own graph optimisations on."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.backend import BuildInfo, BuildOptions
from bench.backends._onnxruntime import OnnxRuntimeBackend, Providers, added_casts, load, optimise, refused, settings
from bench.environment import cpu_model
from reports.layers.layer import Layer
from reports.layers.onnxruntime import layers
from variants.variant import Array, Tensors

if TYPE_CHECKING:
    import onnxruntime as ort

PROVIDER = "CPUExecutionProvider"
PROVIDERS: Providers = ((PROVIDER, {}),)
PROFILED_RUNS, PROFILE_WARMUP = 20, 3


class OnnxRuntime(OnnxRuntimeBackend):
    """The plan is the graph as ONNX Runtime optimised it, so that a second run does not optimise again."""

    def unavailable(self) -> str | None:
        """See Backend."""
        return None if find_spec("onnxruntime") else "onnxruntime is not installed: pip install onnxruntime"

    def identity(self, options: BuildOptions) -> tuple[tuple[str, str], ...]:
        """The CPU belongs to it: the optimised graph may hold operators laid out for its vector width."""
        import onnxruntime as ort

        return (
            ("onnxruntime", ort.__version__),
            ("provider", PROVIDER),
            ("graph_optimization_level", "ORT_ENABLE_ALL"),
            ("cpu", cpu_model()),
        )

    def why_no_type(self, dtype: int) -> str | None:
        """It casts bf16, but computes nothing in it."""
        from onnx import TensorProto

        return "ONNX Runtime's CPU has no kernels in bf16" if dtype == TensorProto.BFLOAT16 else None

    def build(self, model: Path, plan: Path, options: BuildOptions) -> BuildInfo:
        """Optimise for every batch at once: the graph keeps its dynamic batch."""
        start = time.perf_counter()
        try:
            optimise(model, plan, options, PROVIDERS)
        except Exception as error:  # its exception types share no public base
            return refused(plan, "CPU", str(error), time.perf_counter() - start)
        return BuildInfo("CPU", time.perf_counter() - start, _casts(model, plan))

    def load(self, plan: Path, options: BuildOptions) -> Session:
        """A session on the optimised graph."""
        return Session(plan, settings(options))

    def profile(self, plan: Path, feeds: Tensors, options: BuildOptions) -> tuple[Layer, ...]:
        """Ranked layers, each timed as the median of 20 runs after 3."""
        chosen = settings(options)
        with tempfile.TemporaryDirectory() as folder:
            chosen.enable_profiling = True
            chosen.profile_file_prefix = str(Path(folder) / "trace")
            session = Session(plan, chosen)
            for _ in range(PROFILE_WARMUP + PROFILED_RUNS):
                session.run(feeds)
            return layers(Path(session.session.end_profiling()).read_bytes(), skip_runs=PROFILE_WARMUP)


class Session:
    """A loaded plan."""

    def __init__(self, plan: Path, chosen: ort.SessionOptions) -> None:
        self.session = load(plan, chosen, PROVIDERS)
        self.outputs = [output.name for output in self.session.get_outputs()]

    def run(self, feeds: Tensors) -> dict[str, Array]:
        """Outputs by name."""
        return dict(zip(self.outputs, self.session.run(self.outputs, dict(feeds)), strict=True))

    def bind(self, feeds: Tensors) -> Callable[[], object]:
        """Inputs and outputs bound once, so that only the run is timed."""
        binding: Any = self.session.io_binding()
        for name, array in feeds.items():
            binding.bind_cpu_input(name, array)
        for name in self.outputs:
            binding.bind_output(name, "cpu")
        run: Callable[[Any], object] = self.session.run_with_iobinding
        return lambda: run(binding)


def _casts(model: Path, plan: Path) -> tuple[str, ...]:
    added = added_casts(model, plan)
    if added <= 0:
        return ()
    return (f"ONNX Runtime added {added} casts: its CPU has no kernel in this precision for some nodes, they compute in fp32",)


onnxruntime = OnnxRuntime()
