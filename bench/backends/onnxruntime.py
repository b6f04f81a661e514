"""ONNX Runtime on the CPU, one thread, its own graph optimisations on."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.backend import Backend, BuildInfo, BuildOptions
from bench.environment import cpu_model
from reports.layers.layer import Layer
from reports.layers.onnxruntime import layers
from variants.variant import Array, Tensors

if TYPE_CHECKING:
    import onnxruntime as ort

CONTRIB = "com.microsoft"
PROVIDER = "CPUExecutionProvider"
PROFILED_RUNS, PROFILE_WARMUP = 20, 3


class OnnxRuntime(Backend):
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

    def build(self, model: Path, plan: Path, options: BuildOptions) -> BuildInfo:
        """Optimise for every batch at once: the graph keeps its dynamic batch."""
        import onnxruntime as ort

        settings = _settings(options)
        settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        settings.optimized_model_filepath = str(plan)
        if any(file.name.startswith(model.name) and file != model for file in model.parent.iterdir()):
            # Too large for one file: ONNX Runtime would refer to the weights where the graph has them, not beside the plan.
            settings.add_session_config_entry("session.optimized_model_external_initializers_file_name", f"{plan.name}.data")
        start = time.perf_counter()
        try:
            ort.InferenceSession(str(model), settings, providers=[PROVIDER])
        except Exception as error:  # its exception types share no public base
            return _refused(plan, str(error), time.perf_counter() - start)
        return BuildInfo("CPU", time.perf_counter() - start, _casts(model, plan))

    def why_no_operators(self, domain: str) -> str | None:
        """It has its own beside ONNX's."""
        return None if domain == CONTRIB else super().why_no_operators(domain)

    def load(self, plan: Path, options: BuildOptions) -> Session:
        """A session on the optimised graph."""
        return Session(plan, _settings(options))

    def profile(self, plan: Path, feeds: Tensors, options: BuildOptions) -> tuple[Layer, ...]:
        """Ranked layers, each timed as the median of 20 runs after 3."""
        settings = _settings(options)
        with tempfile.TemporaryDirectory() as folder:
            settings.enable_profiling = True
            settings.profile_file_prefix = str(Path(folder) / "trace")
            session = Session(plan, settings)
            for _ in range(PROFILE_WARMUP + PROFILED_RUNS):
                session.run(feeds)
            return layers(Path(session.session.end_profiling()).read_bytes(), skip_runs=PROFILE_WARMUP)


class Session:
    """A loaded plan."""

    def __init__(self, plan: Path, settings: ort.SessionOptions) -> None:
        import onnxruntime as ort

        settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        self.session = ort.InferenceSession(str(plan), settings, providers=[PROVIDER])
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


def _settings(options: BuildOptions) -> ort.SessionOptions:
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.log_severity_level = 3
    return settings


def _refused(plan: Path, message: str, seconds: float) -> BuildInfo:
    plan.write_bytes(b"")
    return BuildInfo("CPU", seconds, rejection=message.strip())


def _casts(model: Path, plan: Path) -> tuple[str, ...]:
    import onnx

    def count(path: Path) -> int:
        return sum(node.op_type == "Cast" for node in onnx.load(path).graph.node)

    added = count(plan) - count(model)
    if added <= 0:
        return ()
    return (f"ONNX Runtime added {added} casts: its CPU has no kernel in this precision for some nodes, they compute in fp32",)


onnxruntime = OnnxRuntime()
