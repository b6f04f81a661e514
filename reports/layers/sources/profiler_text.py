"""IProfiler times printed as text"""

from __future__ import annotations

import re
from collections import defaultdict

from common.errors import UserError
from reports.layers.found import Found, Source
from reports.layers.sources._numbers import milliseconds
from reports.layers.sources.profiler_dump import times

US = re.compile(r"^Timing:\s*([\d.]+(?:e[-+]?\d+)?)us -> (.+)$")
MS = re.compile(r"^(.+): ([\d.]+(?:e[-+]?\d+)?)\s?ms$")


def parse(data: bytes) -> Found:
    """`Timing: 20.384us -> layer` and `layer: 0.0204ms` (TensorRT's own Python Profiler), one line a call.

    Several blocks between `Start [...]` lines are different runs of possibly different engines: only the first is read.
    """
    samples: dict[str, list[float]] = defaultdict(list)
    blocks = 0
    for line in data.decode("utf-8", "replace").splitlines():
        if line.startswith("=====") and "Start [" in line:
            blocks += bool(samples)
        if blocks:
            continue
        if us := US.match(line):
            samples[us[2].strip()].append(milliseconds(us[1]) / 1e3)
        elif (ms := MS.match(line)) and not line.startswith("["):
            samples[ms[1].strip()].append(milliseconds(ms[2]))
    if not samples:
        raise UserError("holds no layer times: print them from IProfiler.report_layer_time, or use trtexec --dumpProfile")
    found = times(samples)
    notes = ("the log holds several blocks of times; only the first was read",) if blocks else ()
    return Found("IProfiler log", found.times, runs=found.runs, notes=notes)


profiler_text = Source(re.compile(rb"(?m)^Timing:\s*[\d.e+-]+us -> |^[^\[\n][^\n]{0,4000}: [\d.e+-]+\s?ms\r?$"), parse, text=True)
