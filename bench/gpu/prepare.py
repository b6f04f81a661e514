"""`python -m bench.gpu.prepare CELLS`: exports, passes, precisions and references on many cores, so that the GPU waits for none of them."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import msgspec

from bench.artefacts import Artefacts
from bench.cache import Cache
from bench.gpu.cells import read
from bench.phases import Phases
from common.errors import UserError
from reports.case import Case


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 when every graph was made, 1 when one was not (its case says why when it is measured)."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu.prepare", description=__doc__)
    parser.add_argument("cells", type=Path)
    parser.add_argument("--cache", type=Path, default=Path(".trtbench/cache"))
    parser.add_argument("--jobs", type=int, default=2, help="processes; each may need 3 GB for a model of 350 MB")
    options = parser.parse_args(arguments)
    try:
        cases = [cell.case for cell in read(options.cells)]
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    raw = dict.fromkeys(msgspec.structs.replace(case, passes=(), precision="fp32") for case in cases)
    graphs = dict.fromkeys(cases)
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        failed = sum(_all(pool, partial(work, options.cache), some) for work, some in ((reference, raw), (graph, graphs)))
    return int(failed > 0)


def reference(cache: Path, case: Case) -> str:
    """Export, and the reference outputs."""
    artefacts, phases = Artefacts(Cache(cache)), Phases()
    artefacts.reference(case, phases)
    return graph(cache, case)


def graph(cache: Path, case: Case) -> str:
    """The graph after all steps of `case`; returns how long each took, in seconds."""
    phases = Phases()
    Artefacts(Cache(cache)).transformed(case, phases)
    return ", ".join(f"{name} {seconds:.1f}" for name, seconds in phases.seconds.items() if name not in phases.from_cache)


def _all(pool: ProcessPoolExecutor, work: Callable[[Case], str], cases: Iterable[Case]) -> int:
    failed, start = 0, time.perf_counter()
    waiting = {pool.submit(work, case): case for case in cases}
    for done in as_completed(waiting):
        error = done.exception()
        failed += error is not None
        said = f"{type(error).__name__}: {error}" if error else done.result()
        print(f"{time.perf_counter() - start:6.1f} s  {waiting[done].id}: {said or 'cached'}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
