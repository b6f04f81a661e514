"""Build an ONNX file or a network of variants/api with TensorRT-RTX, in a process that may crash.

MODEL PLAN ANSWER SHAPES CAPABILITY SOURCE are its arguments.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import msgspec
import tensorrt_rtx as trt

from bench.backend import BuildInfo
from common.errors import UserError
from reports.case import API
from variants.api_network import define

Shapes = tuple[tuple[str, tuple[tuple[int, ...], ...]], ...]
INCONSISTENT = "not self-consistent"
"""TensorRT only warns when a profile's shapes break a constraint, and gives a plan that cannot run; for us that is a refusal."""
NOISE = "logger passed into createInferBuilder differs"


class Log(trt.ILogger):  # type: ignore[misc,unused-ignore]
    """Keeps errors and warnings, which TensorRT tells to nobody else."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[str] = []
        self.warnings: list[str] = []

    def log(self, severity: trt.ILogger.Severity, message: str) -> None:
        """Called by TensorRT."""
        if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
            self.errors.append(message)
        elif severity == trt.ILogger.Severity.WARNING and NOISE not in message:
            self.warnings.append(message)


def capability(text: str) -> trt.ComputeCapability:
    """ "8.9" -> SM89; raises SystemExit with the known ones."""
    name = "SM" + text.replace(".", "")
    found = trt.ComputeCapability.__members__.get(name)
    if found is None:
        known = ", ".join(f"{key[2:-1]}.{key[-1]}" for key in trt.ComputeCapability.__members__ if key.startswith("SM"))
        raise SystemExit(f"compute capability {text} is not known to this TensorRT-RTX; known: {known}")
    return found


def refusal(built: bool, log: Log) -> str:
    """Why a plan does not count, "" when it does."""
    inconsistent = [message for message in log.warnings if INCONSISTENT in message]
    if built and not inconsistent:
        return ""
    return "; ".join(inconsistent or log.errors) or "the builder gave no reason"


def define_network(model: Path, network: trt.INetworkDefinition, source: str, log: Log) -> tuple[str, object]:
    """Fill `network`; why that was refused ("" when it was not), and what must live until the engine is built."""
    if source == API:
        try:
            return "", define(model, trt, network)
        except UserError as error:
            return "; ".join((str(error), *log.errors)), None
    parser = trt.OnnxParser(network, log)
    if parser.parse_from_file(str(model)):
        return "", parser
    refused = "; ".join(parser.get_error(number).desc() for number in range(parser.num_errors))
    return refused or "; ".join(log.errors) or "the parser gave no reason", parser


def build(model: Path, plan: Path, shapes: Shapes, target: str, source: str) -> BuildInfo:
    """Write the plan, or an empty file when the graph was refused."""
    log = Log()
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    start = time.perf_counter()
    plan.write_bytes(b"")
    refused, _kept = define_network(model, network, source, log)
    if refused:
        return _answer(target, start, log, refused)
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.num_compute_capabilities = 1
    config.set_compute_capability(capability(target), 0)
    profile = builder.create_optimization_profile()
    for name, (low, best, high) in shapes:
        profile.set_shape(name, low, best, high)
    config.add_optimization_profile(profile)
    serialized = builder.build_serialized_network(network, config)
    refused = refusal(serialized is not None, log)
    if refused or serialized is None:
        return _answer(target, start, log, refused)
    plan.write_bytes(bytes(serialized))
    return _answer(target, start, log, "")


def _answer(target: str, start: float, log: Log, refused: str) -> BuildInfo:
    return BuildInfo(f"compute capability {target}", time.perf_counter() - start, tuple(dict.fromkeys(log.warnings)), refused)


def main() -> None:
    """Build and write the answer as JSON, the last thing done."""
    model, plan, answer, shapes, target, source = sys.argv[1:]
    info = build(Path(model), Path(plan), msgspec.json.decode(shapes, type=Shapes), target, source)
    Path(answer).write_bytes(msgspec.json.encode(info))


if __name__ == "__main__":
    main()
