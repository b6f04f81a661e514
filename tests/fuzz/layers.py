"""Fuzzes every parser of layer profiles: `pip install .[fuzz]`, then `python -m tests.fuzz.layers -max_total_time=300`.

A crash is written to crash-<digest> by libFuzzer: put it into tests/reports/layers/crashers, where a test reads it from then on.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["reports.layers"]):
    from common.discover import discover
    from common.errors import UserError
    from reports.layers.found import Source
    from tests.reports.layers.whole import SEEDS, check, whole

    SOURCES = [declared.value for declared in discover("reports.layers.sources", Source).values()]

WORDS = (
    *("timeMs", "averageMs", "medianMs", "percentage", "count", "name", "computeMs", "Layers", "Bindings", "LayerType", "Dimensions"),
    *("Format/Datatype", "Inputs", "Outputs", "Metadata", "StreamId", "ParameterType", "Convolution", "ConvKernel", "Kernel", "Weights"),
    *(
        "[ONNX Layer: ",
        "PWN(",
        "{ForeignNode[",
        "...",
        " + ",
        " [profile 1]",
        "__myl_",
        "_myl1_2",
        "Reformatting CopyNode for ",
        "nan",
        "-nan",
    ),
    *(
        "=== Profile (1 iterations ) ===",
        "Total",
        "Layer",
        "Name: ",
        "Dimensions: [",
        "GPU Compute Time: ",
        "median = 1 ms",
        "Timing: 1us -> ",
    ),
    *("&&&& PASSED TensorRT.trtexec [TensorRT v8501]", "\\x1e", "\\x1f", "\\x00", "model_run", "_kernel_time", "1e999", "-1", "null"),
)


def one(data: bytes) -> None:
    """The whole way in, then each parser on its own with what it would not have been given."""
    whole(data)
    for source in SOURCES:
        try:
            found = source.parse(data)
        except UserError:
            continue
        check(found)


def main() -> None:
    """Start from one file of every kind and generation."""
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(SEEDS):
            (Path(folder) / str(number)).write_text(seed, encoding="utf-8")
        words = Path(folder) / "words"
        words.write_text("".join(f'"{word}"\n' for word in WORDS))
        limits = ["-max_len=4096", "-timeout=20", "-rss_limit_mb=2048", f"-dict={words}"]
        atheris.Setup([*sys.argv, *limits, folder], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
