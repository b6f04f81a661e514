"""Small files of every kind and generation, in the writers' own words (NVIDIA/TensorRT samples/common 7.0 to 11.1)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

Rows = Sequence[tuple[str, float]]
"""(layer, mean milliseconds) in engine order."""
ROWS = (("conv", 0.5), ("relu", 0.125), ("fc", 0.375))


def profile(rows: Rows = ROWS, runs: int = 10, median: bool = True) -> str:
    """exportProfile, as written: names are not escaped. Up to 8.2 there is no median."""
    total = sum(mean for _, mean in rows)
    lines = [
        f'{{ "name" : "{name}", "timeMs" : {mean * runs:.6g}, "averageMs" : {mean:.6g}'
        + (f', "medianMs" : {mean:.6g}' if median else "")
        + f', "percentage" : {mean / total * 100 if total else float("nan"):.6g} }}'
        for name, mean in rows
    ]
    return f'[\n  {{ "count" : {runs} }}\n' + "".join(f", {line}\n" for line in lines) + "]\n"


def tensor(name: str, shape: Sequence[int] = (1, 8, 4, 4), words: str = "Row major linear FP16 format") -> dict[str, Any]:
    return {"Name": name, "Location": "Device", "Dimensions": list(shape), "Format/Datatype": words}


def layer(name: str, kind: str = "kgen", **more: Any) -> dict[str, Any]:
    return {"Name": name, "LayerType": kind, "Inputs": [tensor("x")], "Outputs": [tensor("y")], **more}


def info(*layers: dict[str, Any] | str) -> str:
    """exportLayerInfo; plain strings below detailed verbosity."""
    return json.dumps({"Layers": layers, "Bindings": ["x", "y"]}, ensure_ascii=False)


TIMES = {
    "7.0": '{ "startInMs" : 1, "endInMs" : 1.1, "startComputeMs" : 1.1, "endComputeMs" : 2.2, "startOutMs" : 2.2, "endOutMs" : 2.3, '
    '"inMs" : 0.1, "computeMs" : 1.25, "outMs" : 0.1, "latencyMs" : 1.3, "endToEndMs" : 1.4 }',
    "7.2": '{ "startEnqMs" : 1, "endEnqMs" : 1.125, "startInMs" : 1, "endInMs" : 1.25, "startComputeMs" : 1.1, "endComputeMs" : 2.2, '
    '"startOutMs" : 2.2, "endOutMs" : 2.3, "inMs" : 0.1, "computeMs" : 1.25, "outMs" : 0.1, "latencyMs" : 1.3, "endToEndMs" : 1.4 }',
    "8.0": '{ "startEnqMs" : 1, "endEnqMs" : 1.25, "startH2dMs" : 1, "endH2dMs" : 1.1, "startComputeMs" : 1.1, "endComputeMs" : 2.2, '
    '"startD2hMs" : 2.2, "endD2hMs" : 2.3, "h2dMs" : 0.1, "computeMs" : 1.25, "d2hMs" : 0.1, "latencyMs" : 1.3, "endToEndMs" : 1.4 }',
    "8.4": '{ "startEnqMs" : 1, "endEnqMs" : 1.25, "startH2dMs" : 1, "endH2dMs" : 1.1, "startComputeMs" : 1.1, "endComputeMs" : 2.2, '
    '"startD2hMs" : 2.2, "endD2hMs" : 2.3, "h2dMs" : 0.1, "computeMs" : 1.25, "d2hMs" : 0.1, "latencyMs" : 1.3 }',
}


def times(generation: str, computes: Sequence[float] = (1.25, 1.5, 9.0)) -> str:
    """exportTimes: one record a run, its computeMs replaced."""
    records = [TIMES[generation].replace('"computeMs" : 1.25', f'"computeMs" : {compute:g}') for compute in computes]
    return "[\n  " + "\n, ".join(records) + "\n]\n"


STAMP = "[07/02/2026-03:47:36] [I] "


def log(version: str, *bodies: str, verdict: str = "PASSED") -> str:
    """A console log of trtexec: its stamps, its bodies, its verdict."""
    first = f"&&&& RUNNING TensorRT.trtexec [TensorRT v{version}] # trtexec --loadEngine=x.plan\n"
    last = f"&&&& {verdict} TensorRT.trtexec [TensorRT v{version}] # trtexec --loadEngine=x.plan\n" if verdict else ""
    lines = "\n".join(bodies).split("\n")
    return first + "".join(line + "\n" if line.startswith(("[", "Name: ")) else f"{STAMP}{line}\n" for line in lines) + last


SUMMARY_7 = """Host Latency
min: 1.1 ms (end to end 1.2 ms)
max: 2.1 ms (end to end 2.2 ms)
mean: 1.35 ms (end to end 1.4 ms)
median: 1.3 ms (end to end 1.4 ms)
percentile: 1.9 ms at 99% (end to end 2 ms)
throughput: 700 qps
walltime: 3.00212 s
Enqueue Time
min: 0.01 ms
max: 0.2 ms
median: 0.025 ms
GPU Compute
min: 1.0 ms
max: 2.0 ms
mean: 1.3 ms
median: 1.25 ms
percentile: 1.8 ms at 99%
total compute time: 2.9 s"""
SUMMARY_8 = """=== Performance summary ===
Throughput: 700 qps
Latency: min = 1.1 ms, max = 2.1 ms, mean = 1.35 ms, median = 1.3 ms, percentile(99%) = 1.9 ms
End-to-End Host Latency: min = 1.2 ms, max = 2.2 ms, mean = 1.4 ms, median = 1.4 ms, percentile(99%) = 2 ms
Enqueue Time: min = 0.01 ms, max = 0.2 ms, mean = 0.03 ms, median = 0.025 ms, percentile(99%) = 0.1 ms
GPU Compute Time: min = 1 ms, max = 2 ms, mean = 1.3 ms, median = 1.25 ms, percentile(99%) = 1.8 ms"""
SUMMARY_10 = SUMMARY_8.replace("percentile(99%)", "percentile(37.5%) = 1.1 ms, percentile(99%)")
TABLE_FIRST = """=== Profile (10 iterations ) ===
                      Layer   Time (ms)   Avg. Time (ms)   Time %
                   a: b [c]        5.00             0.50     50.0
                       relu        1.25             0.12     12.5
                         fc        3.75             0.38     37.5
                      Total       10.00             1.00    100.0
"""
TABLE_FIRST_MEDIAN = """=== Profile (10 iterations ) ===
      Layer   Time (ms)   Avg. Time (ms)   Median Time (ms)   Time %
   a: b [c]       5.00     0.5000       0.4900      50.0
       relu       1.25     0.1250       0.1250      12.5
         fc       3.75     0.3750       0.3750      37.5
      Total      10.00     1.0000       0.9900     100.0
"""
TABLE_LAST = """=== Profile (10 iterations ) ===
   Time(ms)     Avg.(ms)   Median(ms)   Time(%)   Layer
       5.00       0.5000       0.4900      50.0   a: b [c]
       1.25       0.1250       0.1250      12.5   relu
       3.75       0.3750       0.3750      37.5   fc
      10.00       1.0000       0.9900     100.0   Total
"""
STREAMS = (
    '[07/02/2026-03:47:36] [W] The engine uses 2 auxiliary streams, so the "Total" latency may not be accurate because some layers '
    "may have run in parallel!"
)
