"""`python -m bench.gpu.run CELLS`: the cases of a file through the pipeline, in their order, until the time is spent."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
import onnx

from bench.gpu.cells import read
from bench.matrix import presets
from bench.session import Session, open_session
from bench.wording import outcome_text
from common.errors import UserError
from reports.case import Case
from reports.record import Record

OPERATORS = "operators.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 when every case was recorded, 1 when the time was spent before, 2 on bad input."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu.run", description=__doc__)
    parser.add_argument("cells", type=Path)
    parser.add_argument("--cache", type=Path, default=Path(".trtbench/cache"))
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--cap", type=float, default=2.0, metavar="S", help="seconds after which a measurement stops (default: 2)")
    parser.add_argument("--budget", type=float, default=3600.0, metavar="S", help="seconds after which no case is begun (default: 3600)")
    options = parser.parse_args(arguments)
    try:
        cases = read(options.cells)
        session = open_session(options.results, options.cache, msgspec.structs.replace(presets()["full"], cap_s=options.cap), "gpu")
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    left = measure(session, cases, options.budget)
    session.close()
    print(f"{len(cases) - left} of {len(cases)} cases recorded in {session.folder}")
    return int(left > 0)


def measure(session: Session, cases: Sequence[Case], budget_s: float) -> int:
    """How many cases the time did not reach; the operators of every plan are written beside the records."""
    start, operators = time.perf_counter(), dict[str, dict[str, int]]()
    for number, case in enumerate(cases):
        begun = time.perf_counter()
        if begun - start > budget_s:
            return len(cases) - number
        record = session.run(case)
        operators[case.id] = plan_operators(session.cache.root, record)
        (session.folder / OPERATORS).write_text(json.dumps(operators))
        warnings = "; ".join(record.build.warnings)[:90] if record.build else ""
        print(f"{begun - start:6.1f} + {time.perf_counter() - begun:4.1f} s  {case.id}: {outcome_text(record)}  [{warnings}]", flush=True)
    return 0


def plan_operators(cache: Path, record: Record) -> dict[str, int]:
    """How many nodes of each type the record's plan has, where it is an ONNX graph; {} where there is none."""
    wanted = dict(record.digests).get("plan")
    for manifest in (cache / "build").glob("*/manifest.json"):
        if wanted and json.loads(manifest.read_text())["sha256"] == wanted:
            graph = onnx.load(manifest.with_name("artefact"), load_external_data=False).graph
            return dict(Counter(node.op_type for node in graph.node).most_common())
    return {}


if __name__ == "__main__":
    sys.exit(main())
