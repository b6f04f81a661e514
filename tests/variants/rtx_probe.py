"""Parse and build ONNX files with NVIDIA's TensorRT-RTX over ranges of shapes, in a process that may crash: REQUEST ANSWER.

REQUEST is JSON {name: [path, {input: [min, best, max]}, compute capability (8.9 where none is given)]}; ANSWER becomes
{name: [refusal or "", warnings]}.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import tensorrt_rtx as trt

from bench.backends._rtx_worker import Log, capability, let_attention_decompose, refusal

Ranges = dict[str, tuple[tuple[int, ...], ...]]


def build(model: str, ranges: Ranges, target: str = "8.9") -> tuple[str, list[str]]:
    """Why the graph was refused, "" when a plan came of it, and what was warned of."""
    log = Log()
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(model):
        return "; ".join(parser.get_error(number).desc() for number in range(parser.num_errors)), log.warnings
    let_attention_decompose(network)
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(capability(target), 0)
    profile = builder.create_optimization_profile()
    for name, (low, best, high) in ranges.items():
        given = next(network.get_input(i) for i in range(network.num_inputs) if network.get_input(i).name == name)
        (profile.set_shape_input if given.is_shape_tensor else profile.set_shape)(name, low, best, high)
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    return refusal(plan is not None, log), log.warnings


def main() -> None:
    """Answer every request; the answer is written last."""
    request, answer = sys.argv[1:]
    found = {name: build(*asked) for name, asked in json.loads(Path(request).read_text()).items()}
    Path(answer).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
