"""ONNX Runtime on the GPU through its CUDA provider, as one captured CUDA graph or launch by launch."""

from __future__ import annotations

import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.backend import BuildInfo, BuildOptions
from bench.backends._onnxruntime import OnnxRuntimeBackend, Providers, load, optimise, refused, settings
from bench.backends._onnxruntime_device import DeviceSession, blank
from bench.cache import library
from bench.environment import gpu
from common.errors import UserError
from reports.layers.layer import Layer
from variants.variant import Tensors

PROVIDER = "CUDAExecutionProvider"
DEVICE = "cuda"
OPTIONS = {
    "device_id": "0",
    "cudnn_conv_algo_search": "EXHAUSTIVE",
    "cudnn_conv_use_max_workspace": "1",
    "arena_extend_strategy": "kNextPowerOfTwo",
    "do_copy_in_default_stream": "1",
    "prefer_nhwc": "0",
    "tunable_op_enable": "0",
}
"""By name, defaults included: they change between versions."""
TF32 = "TF32"
SILENT = 4
"""A refusal to capture is raised and recorded; ONNX Runtime would print it as well."""
CAPTURE = ".capture"
"""Ends the name of the file beside a plan that says why it is not captured; it is empty where it is."""
INSTALL = "pip uninstall onnxruntime, then pip install 'onnxruntime-gpu[cuda,cudnn]'"
CAPTURED = "CUDA graph: captured once, then replayed"
ONCE = "; they ran when it was captured, a replay runs none of them"


class OnnxRuntimeCuda(OnnxRuntimeBackend):
    """Times a synchronous run by the host's clock, inputs and outputs on the GPU: launches and GPU time, no transfers.

    That is neither GPU time alone (CUDA events) nor end to end with its copies. With `graph`, a plan that ONNX Runtime captures
    is replayed as one CUDA graph; one that it does not is launched kernel by kernel, which its record says with ONNX Runtime's reason.
    """

    def __init__(self, graph: bool) -> None:
        self.graph = graph

    def unavailable(self) -> str | None:
        """Looked up in files and by nvidia-smi: neither CUDA nor ONNX Runtime is imported."""
        found = find_spec("onnxruntime")
        if found is None or found.origin is None:
            return "onnxruntime-gpu is not installed: pip install 'onnxruntime-gpu[cuda,cudnn]'"
        if not any(Path(found.origin).parent.glob("capi/*onnxruntime_providers_cuda.*")):
            return f"the installed onnxruntime has no CUDA provider: {INSTALL}"
        return None if gpu() else "no NVIDIA GPU answers to nvidia-smi here: run it on a machine with one (nvidia-smi -L lists them)"

    def identity(self, options: BuildOptions) -> tuple[tuple[str, str], ...]:
        """The GPU, its driver and CUDA's libraries belong to it, and the shapes that a graph is captured at."""
        import onnxruntime as ort

        return (
            ("onnxruntime", ort.__version__),
            ("provider", PROVIDER),
            ("graph_optimization_level", "ORT_ENABLE_ALL"),
            *_options(options, self.graph).items(),
            ("shapes", "; ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in options.shapes)),
            ("GPU, driver", gpu()),
            *((name, library(name)) for name in ("nvidia-cuda-runtime", "nvidia-cublas", "nvidia-cudnn-cu13")),
        )

    def build(self, model: Path, plan: Path, options: BuildOptions) -> BuildInfo:
        """Optimise, then try to capture; raises UserError where CUDA's libraries cannot be loaded."""
        target = gpu().split(",")[0]
        _bring_cuda()
        start = time.perf_counter()
        try:
            _on_gpu(optimise(model, plan, options, _providers(options, graph=False)))
        except UserError:
            raise
        except Exception as error:  # its exception types share no public base
            return refused(plan, target, str(error), time.perf_counter() - start)
        seconds = time.perf_counter() - start
        why = self._why_not_captured(plan, options)
        plan.with_name(plan.name + CAPTURE).write_text(why)
        return BuildInfo(
            target, seconds, (f"no CUDA graph: {why}" if why else CAPTURED, *self._elsewhere(plan, options, "" if why else ONCE))
        )

    def why_no_flags(self, flags: tuple[str, ...]) -> str | None:
        """It has TF32."""
        unknown = sorted(set(flags) - {TF32})
        return f"the CUDA provider has no option for {', '.join(unknown)}" if unknown else None

    def built_for(self, compute_capability: str) -> str:
        """That of the GPU at hand."""
        return gpu().split(", ")[2] if gpu() else compute_capability

    def load(self, plan: Path, options: BuildOptions) -> DeviceSession:
        """As it was built: a plan that was captured then and is not now raises, it does not run otherwise."""
        _bring_cuda()
        return self._session(plan, options, graph=not plan.with_name(plan.name + CAPTURE).read_text())

    def profile(self, plan: Path, feeds: Tensors, options: BuildOptions) -> tuple[Layer, ...]:
        """None: ONNX Runtime's trace has the host's time to launch each kernel, not the GPU's to run it, and a replay has no launches."""
        return ()

    def _session(self, plan: Path, options: BuildOptions, graph: bool) -> DeviceSession:
        chosen = settings(options)
        chosen.log_severity_level = SILENT
        return DeviceSession(_on_gpu(load(plan, chosen, _providers(options, graph))), DEVICE)

    def _why_not_captured(self, plan: Path, options: BuildOptions) -> str:
        if not self.graph:
            return "this backend launches each kernel"
        try:
            session = self._session(plan, options, graph=True)
            run = session.bind(blank(session.session, options.shapes))
            for _ in range(3):
                run()
        except UserError:
            raise
        except Exception as error:  # refusals of ONNX Runtime and errors of CUDA share no base
            return " ".join(str(error).split())
        return ""

    def _elsewhere(self, plan: Path, options: BuildOptions, when: str) -> tuple[str, ...]:
        """The nodes that ONNX Runtime put on the CPU, such as those that compute shapes."""
        chosen = settings(options)
        chosen.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        session: Any = load(plan, chosen, _providers(options, graph=False))
        placed = session.get_provider_graph_assignment_info()
        counts = Counter(node.op_type for part in placed if part.ep_name != PROVIDER for node in part.get_nodes())
        if not counts:
            return ()
        return (f"{counts.total()} nodes on the CPU: {', '.join(f'{count} {op}' for op, count in counts.most_common())}{when}",)


def _options(options: BuildOptions, graph: bool) -> dict[str, str]:
    """TF32 is off unless the precision asks for it, so that fp32 means IEEE fp32."""
    return OPTIONS | {"use_tf32": str(int(TF32 in options.flags)), "enable_cuda_graph": str(int(graph))}


def _providers(options: BuildOptions, graph: bool) -> Providers:
    return ((PROVIDER, _options(options, graph)),)


def _bring_cuda() -> None:
    """torch's wheel brings CUDA's libraries; once it has loaded them, ONNX Runtime finds them by name.

    Below errors, ONNX Runtime 1.31 tells at every session that its CUDA provider is no plug-in.
    """
    import onnxruntime as ort
    import torch  # noqa: F401

    ort.set_default_logger_severity(3)


def _on_gpu(session: Any) -> Any:
    """The session, if it has the provider: without its libraries ONNX Runtime only logs that and takes the CPU."""
    if PROVIDER not in session.get_providers():
        raise UserError(f"onnxruntime: the CUDA provider's libraries cannot be loaded, so it would run on the CPU: {INSTALL}")
    return session
