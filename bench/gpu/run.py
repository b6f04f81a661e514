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

from bench.gpu.cells import Cell, read
from bench.gpu.duel import DUELS, duel
from bench.matrix import presets
from bench.session import Session, open_session
from bench.wording import outcome_text
from common.errors import UserError
from reports.case import Case
from reports.journal import append
from reports.record import Measured, Record

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
        cells = read(options.cells)
        session = open_session(options.results, options.cache, msgspec.structs.replace(presets()["full"], cap_s=options.cap), "gpu")
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    left = measure(session, cells, options.budget)
    session.close()
    print(f"{len(cells) - left} of {len(cells)} cells recorded in {session.folder}")
    return int(left > 0)


def measure(session: Session, cells: Sequence[Cell], budget_s: float) -> int:
    """How many cells the time did not reach; the operators of every plan are written beside the records."""
    start, operators, timed = time.perf_counter(), dict[str, dict[str, int]](), set[Case]()
    for number, cell in enumerate(cells):
        begun = time.perf_counter()
        if begun - start > budget_s:
            return len(cells) - number
        said = _pair(session, cell, timed) if cell.against else _single(session, cell.case, timed, operators)
        print(f"{begun - start:6.1f} + {time.perf_counter() - begun:4.1f} s  {cell.id}: {said}", flush=True)
    return 0


def _single(session: Session, case: Case, timed: set[Case], operators: dict[str, dict[str, int]]) -> str:
    record = session.run(case)
    if isinstance(record.outcome, Measured):
        timed.add(case)
    operators[case.id] = plan_operators(session.cache.root, record)
    (session.folder / OPERATORS).write_text(json.dumps(operators))
    return f"{outcome_text(record)}  [{'; '.join(record.build.warnings)[:90] if record.build else ''}]"


def _pair(session: Session, cell: Cell, timed: set[Case]) -> str:
    """Nothing is timed whose outputs were not compared with the reference in this run."""
    assert cell.against is not None
    missing = [case.id for case in (cell.case, cell.against) if case not in timed]
    if missing:
        return f"left out: {missing[0]} was not measured in this run; put it before"
    record = duel(session, cell.case, cell.against)
    append(session.folder / DUELS, record)
    return outcome_text(record)


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
