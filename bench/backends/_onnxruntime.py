"""What the ONNX Runtime backends share: the plan is the graph as ONNX Runtime optimised it, which no later run does again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from bench.backend import Backend, BuildInfo, BuildOptions
from bench.backends._onnxruntime_quantised import prepare

if TYPE_CHECKING:
    import onnxruntime as ort

CONTRIB, CPU = "com.microsoft", "CPUExecutionProvider"
Providers: TypeAlias = tuple[tuple[str, Mapping[str, str]], ...]


class OnnxRuntimeBackend(Backend):
    """Either provider knows ONNX Runtime's own operators."""

    def why_no_operators(self, domain: str) -> str | None:
        """It has its own beside ONNX's."""
        return None if domain == CONTRIB else super().why_no_operators(domain)


def settings(options: BuildOptions) -> ort.SessionOptions:
    """Threads as asked for, none of them spinning; only errors are logged."""
    import onnxruntime as ort

    found = ort.SessionOptions()
    found.intra_op_num_threads = options.threads
    found.inter_op_num_threads = 1
    found.add_session_config_entry("session.intra_op.allow_spinning", "0")
    found.log_severity_level = 3
    return found


def optimise(model: Path, plan: Path, options: BuildOptions, providers: Providers) -> ort.InferenceSession:
    """Write the graph as `providers` optimise it, every batch at once: it keeps its free dimensions. Raises what ONNX Runtime raises."""
    import onnx
    import onnxruntime as ort

    chosen = settings(options)
    chosen.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    chosen.optimized_model_filepath = str(plan)
    if any(file.name.startswith(model.name) and file != model for file in model.parent.iterdir()):
        # Too large for one file: ONNX Runtime would refer to the weights where the graph has them, not beside the plan.
        chosen.add_session_config_entry("session.optimized_model_external_initializers_file_name", f"{plan.name}.data")
    if providers[0][0] != CPU:
        return opened(model, chosen, providers)
    graph = onnx.load(model, load_external_data=False)
    without = prepare(graph, chosen)
    if not without:
        return opened(model, chosen, providers)
    chosen.add_session_config_entry("session.model_external_initializers_file_folder_path", str(model.parent))
    return opened(graph.SerializeToString(), chosen, providers, without)


def load(plan: Path, chosen: ort.SessionOptions, providers: Providers) -> ort.InferenceSession:
    """A session on an optimised graph. Raises what ONNX Runtime raises."""
    import onnxruntime as ort

    chosen.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return opened(plan, chosen, providers)


def opened(model: Path | bytes, chosen: ort.SessionOptions, providers: Providers, without: Sequence[str] = ()) -> ort.InferenceSession:
    """A session on a file or a model's bytes, with these providers and options or none: by itself it tries others, and prints that.

    `without` names optimisers of ONNX Runtime that are left out.
    """
    import onnxruntime as ort

    names, given = [name for name, _ in providers], [dict(own) for _, own in providers]
    return ort.InferenceSession(
        model if isinstance(model, bytes) else str(model),
        chosen,
        providers=names,
        provider_options=given,
        enable_fallback=0,
        disabled_optimizers=list(without),
    )


def refused(plan: Path, target: str, message: str, seconds: float) -> BuildInfo:
    """A plan that nobody loads, with ONNX Runtime's own words."""
    plan.write_bytes(b"")
    return BuildInfo(target, seconds, rejection=message.strip())


def added_casts(model: Path, plan: Path) -> int:
    """How many more Cast nodes the optimised graph has than the model."""
    import onnx

    def count(path: Path) -> int:
        return sum(node.op_type == "Cast" for node in onnx.load(path, load_external_data=False).graph.node)

    return count(plan) - count(model)
