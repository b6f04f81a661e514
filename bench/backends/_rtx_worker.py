"""Build an ONNX file or a network of variants/api with TensorRT-RTX, in a process that may crash.

MODEL PLAN ANSWER SHAPES CAPABILITY SOURCE [FLAG...] are its arguments.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

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


@dataclass(frozen=True, slots=True)
class Wanted:
    """The compute capability to build for, what the model file is, and builder flags beyond the usual ones."""

    target: str
    source: str
    flags: tuple[str, ...]


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


def within(fixed: tuple[int, ...], spans: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
    """(smallest, best, largest) as far as the network lets them vary; TensorRT refuses a profile wider than the network.

    `fixed` holds -1 where a dimension is free. A pass such as fix_shapes leaves fewer of them free than the variant declares.
    """
    _, best, _ = spans
    return tuple(tuple(size if free < 0 else b for size, free, b in zip(span, fixed, best, strict=True)) for span in spans)


def let_attention_decompose(network: trt.INetworkDefinition) -> None:
    """Let the builder write ONNX's Attention out where it has no kernel for it; in fp32 it has none, and refuses unless allowed to."""
    for number in range(network.num_layers):
        layer = network.get_layer(number)
        if layer.type == trt.LayerType.ATTENTION_OUTPUT:
            layer.__class__ = trt.IAttentionOutputLayer  # the bindings hand out the base class
            cast("trt.IAttentionOutputLayer", layer).attention.decomposable = True


def define_network(model: Path, network: trt.INetworkDefinition, source: str, log: Log) -> tuple[str, object]:
    """Fill `network`; why that was refused ("" when it was not), and what must live until the engine is built."""
    if source == API:
        try:
            return "", define(model, trt, network)
        except UserError as error:
            return "; ".join((str(error), *log.errors)), None
    parser = trt.OnnxParser(network, log)
    if parser.parse_from_file(str(model)):
        let_attention_decompose(network)
        return "", parser
    refused = "; ".join(parser.get_error(number).desc() for number in range(parser.num_errors))
    return refused or "; ".join(log.errors) or "the parser gave no reason", parser


def build(model: Path, plan: Path, shapes: Shapes, wanted: Wanted) -> BuildInfo:
    """Write the plan, or an empty file when the graph was refused."""
    log = Log()
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    start = time.perf_counter()
    plan.write_bytes(b"")
    refused, _kept = define_network(model, network, wanted.source, log)
    if refused:
        return _answer(wanted.target, start, log, refused)
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)
    for flag in wanted.flags:
        config.set_flag(trt.BuilderFlag.__members__[flag])
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.num_compute_capabilities = 1
    config.set_compute_capability(capability(wanted.target), 0)
    profile = builder.create_optimization_profile()
    given = {network.get_input(place).name: tuple(network.get_input(place).shape) for place in range(network.num_inputs)}
    for name, spans in shapes:
        profile.set_shape(name, *within(given.get(name, (-1,) * len(spans[0])), spans))
    config.add_optimization_profile(profile)
    serialized = builder.build_serialized_network(network, config)
    refused = refusal(serialized is not None, log)
    if refused or serialized is None:
        return _answer(wanted.target, start, log, refused)
    plan.write_bytes(bytes(serialized))
    return _answer(wanted.target, start, log, "")


def _answer(target: str, start: float, log: Log, refused: str) -> BuildInfo:
    return BuildInfo(f"compute capability {target}", time.perf_counter() - start, tuple(dict.fromkeys(log.warnings)), refused)


def main() -> None:
    """Build and write the answer as JSON, the last thing done."""
    model, plan, answer, shapes, target, source, *flags = sys.argv[1:]
    info = build(Path(model), Path(plan), msgspec.json.decode(shapes, type=Shapes), Wanted(target, source, tuple(flags)))
    Path(answer).write_bytes(msgspec.json.encode(info))


if __name__ == "__main__":
    main()
