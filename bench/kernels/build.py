"""`python -m bench.kernels.build`: compile every version for every target, no GPU needed."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.kernels.parallel import Job, Refused, compile_all
from plugins.discovery import all_kernels
from plugins.gpu import TARGETS
from plugins.kernel import ITEMSIZE, Family, Kernel, Problem
from plugins.nvrtc import unavailable
from plugins.prepare import Ready


@dataclass(frozen=True, slots=True)
class Built:
    """What one version costs on one target, or why it was not built. Sizes in bytes."""

    kernel: str
    problem: str
    arch: str
    registers: int = 0
    shared: int = 0
    spilled: int = 0
    code: int = 0
    occupancy: float = 0.0
    reason: str = ""
    broken: bool = False


def problems(family: Family, dtypes: Iterable[str] = ITEMSIZE) -> list[Problem]:
    """The family's BUILD dims with every dtype and every combination of its options."""
    combined = [dict(zip(family.options, c, strict=True)) for c in itertools.product(*family.options.values())]
    return [Problem(dims, dtype, o) for dims in family.build for dtype in dtypes for o in combined]


def build(
    kernels: Sequence[Kernel], targets: Sequence[str] = tuple(TARGETS), dtypes: Sequence[str] = tuple(ITEMSIZE), workers: int | None = None
) -> list[Built]:
    """Compile every version for every target in parallel, through the cache; one row a cubin."""
    jobs: list[Job] = [(k, p, TARGETS[t]) for k in kernels for p in problems(k.family, dtypes) for t in targets]
    done = compile_all(jobs, workers)
    return [_row(job, result) for job, result in zip(jobs, done, strict=True)]


def table(rows: Sequence[Built]) -> str:
    """Text, a line a version, problem and target."""
    lines = [f"{'kernel':30} {'problem':34} {'target':7} {'regs':>4} {'shared':>6} {'spill':>5} {'code':>7} {'occup.':>6}"]
    for r in rows:
        numbers = f"{r.registers:4} {r.shared:6} {r.spilled:5} {r.code:7} {r.occupancy:6.0%}"
        lines.append(f"{r.kernel:30} {r.problem:34} {r.arch:7} " + (r.reason or numbers))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when all compiled without a spill, 1 when a file is at fault, 2 when nothing can compile."""
    parser = argparse.ArgumentParser(prog="trtbench kernels build", description=__doc__)
    parser.add_argument("-k", default="", help="only versions whose id contains this, e.g. layernorm/v5")
    parser.add_argument("--arch", action="append", choices=sorted(TARGETS), help="only these targets")
    parser.add_argument("--dtype", action="append", choices=list(ITEMSIZE), help="only these dtypes")
    parser.add_argument("--jobs", type=int, help="compiling processes; all cores when left out")
    options = parser.parse_args(arguments)
    reason = unavailable()
    if reason:
        print(reason, file=sys.stderr)
        return 2
    chosen = [k for k in all_kernels() if options.k in k.id]
    if not chosen:
        print(f"no kernel matches '{options.k}'; there are: {', '.join(k.id for k in all_kernels())}", file=sys.stderr)
        return 2
    rows = build(chosen, options.arch or list(TARGETS), options.dtype or list(ITEMSIZE), options.jobs)
    print(table(rows))
    bad = [r for r in rows if r.broken or r.spilled]
    print(f"{len(rows)} built, {len(bad)} at fault (do not compile, or spill registers)")
    return 1 if bad else 0


def _row(job: Job, done: Ready | Refused) -> Built:
    kernel, problem, gpu = job
    if isinstance(done, Refused):
        return Built(kernel.id, problem.id, gpu.arch, reason=done.reason, broken=done.wrong)
    compiled, plan = done.compiled, done.plan
    return Built(
        kernel=kernel.id,
        problem=problem.id,
        arch=gpu.arch,
        registers=compiled.registers,
        shared=compiled.shared + plan.shared,
        spilled=compiled.spilled,
        code=len(compiled.code),
        occupancy=done.occupancy,
    )


if __name__ == "__main__":
    sys.exit(main())
