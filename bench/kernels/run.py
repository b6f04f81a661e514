"""`python -m bench.kernels.run`: time every family on this GPU and write the measurement."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from bench.kernels.measurement import Run, Timed, save
from bench.kernels.parallel import Refused, compile_all
from bench.kernels.shapes import Row, rows
from bench.kernels.stats import geometric_mean, median_interval
from plugins.device import current, unavailable
from plugins.discovery import families, kernels
from plugins.kernel import Family, Kernel


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 when everything was timed, 2 on a machine without a usable GPU."""
    parser = argparse.ArgumentParser(prog="python -m bench.kernels.run", description=__doc__)
    parser.add_argument("families", nargs="*", help="families to time; all when left out")
    parser.add_argument("--out", type=Path, default=Path("results/kernels.json"))
    parser.add_argument("--commit", default="", help="commit of the sources when git is not at hand")
    parser.add_argument("--blocks", type=int, default=30, help="fewest blocks a problem; twice as many at most")
    options = parser.parse_args(arguments)
    reason = unavailable()
    if reason:
        print(reason, file=sys.stderr)
        return 2
    known = families()
    unknown = [name for name in options.families if name not in known]
    if unknown:
        print(f"no family {unknown[0]}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    options.out.parent.mkdir(parents=True, exist_ok=True)
    run = measure([known[n] for n in options.families or known], options)
    for (family, name), ratio in summary(run.problems).items():
        print(f"{family:16} {name:28} {ratio:.3f} x copy (geometric mean)")
    print(f"wrote {options.out}")
    return 0


def measure(chosen: Sequence[Family], options: argparse.Namespace) -> Run:
    """Time `chosen` on this GPU; prints a line a problem."""
    from bench.kernels.environment import describe
    from bench.kernels.protocol import Protocol, time_row

    protocol = Protocol(blocks=options.blocks, most_blocks=2 * options.blocks)
    device = current()
    versions = {f.name: kernels(f) for f in chosen}
    _compile(chosen, versions)
    every = [k for found in versions.values() for k in found]
    command = "python -m bench.kernels.run " + " ".join(options.families)
    facts = describe(every, command.strip(), options.commit)
    run = Run(facts, {k: float(v) for k, v in asdict(protocol).items()}, ())
    for family in chosen:
        for row in rows(family.name):
            start = time.perf_counter()
            timed = time_row(device, family, versions[family.name], row, protocol)
            run = replace(run, problems=(*run.problems, timed))
            print(line(timed), f"{time.perf_counter() - start:.1f} s", flush=True)
        save(run, options.out)  # after each family: a crash keeps what was timed
    return run


def line(timed: Timed) -> str:
    """One problem: the copy in microseconds, then every contender as a multiple of it."""
    medians = {t.name: median_interval(t.samples_us).median_us for t in timed.timings if t.samples_us}
    floor = medians.get("copy", float("nan"))
    others = [f"{n} {m / floor:.3f}" for n, m in medians.items() if n != "copy"]
    out = [f"{t.name}: {t.reason[:60]}" for t in timed.timings if t.reason]
    return f"{timed.family} {timed.problem} copy {floor:.2f} us | " + " ".join(others + out)


def summary(problems: Sequence[Timed]) -> dict[tuple[str, str], float]:
    """(family, contender) to the geometric mean of its time over the copy's."""
    ratios: dict[tuple[str, str], list[float]] = {}
    for timed in problems:
        medians = {t.name: median_interval(t.samples_us).median_us for t in timed.timings if t.samples_us}
        for name, median in medians.items():
            if "copy" in medians:
                ratios.setdefault((timed.family, name), []).append(median / medians["copy"])
    return {key: geometric_mean(found) for key, found in ratios.items()}


def _compile(chosen: Sequence[Family], versions: dict[str, list[Kernel]]) -> None:
    device = current()
    work: list[tuple[Kernel, Row]] = [(kernel, row) for f in chosen for row in rows(f.name) for kernel in versions[f.name]]
    done = compile_all((kernel, row.problem, device.gpu) for kernel, row in work)
    for refused in {r.reason for r in done if isinstance(r, Refused)}:
        print(refused, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
