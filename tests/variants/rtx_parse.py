"""Parse ONNX files with NVIDIA's TensorRT-RTX, in a process that may crash: REQUEST ANSWER.

REQUEST is JSON [path, ...]; ANSWER gets one JSON line for each, [path, refusal or ""], as soon as it is known.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import tensorrt_rtx as trt

from bench.backends._rtx_worker import Log


def main() -> None:
    """One network after the other in one builder."""
    request, answer = sys.argv[1:]
    log = Log()
    builder = trt.Builder(log)
    with Path(answer).open("a") as file:
        for path in json.loads(Path(request).read_text()):
            network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
            parser = trt.OnnxParser(network, log)
            taken = parser.parse_from_file(path)
            said = "" if taken else "; ".join(parser.get_error(number).desc() for number in range(parser.num_errors)) or "refused"
            file.write(json.dumps([path, said]) + "\n")
            file.flush()


if __name__ == "__main__":
    main()
