"""`python -m bench.kernels.accuracy`: the accuracy table, a row a version, dtype and input class."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.kernels.parallel import Refused, compile_all
from plugins import device
from plugins.accuracy import Accuracy, measure
from plugins.discovery import all_kernels
from plugins.inputs import CLASSES
from plugins.kernel import ITEMSIZE, Kernel, Problem

_COLUMNS = (1, 65, 197, 768, 1025, 4099, 8192)
_LONGEST = 1100  # the float64 scores of longer sequences take minutes and gigabytes


@dataclass(frozen=True, slots=True)
class Row:
    """The worst of all sizes and options. `worst` and `max_abs` are infinite where NaN or inf differ."""

    kernel: str
    dtype: str
    input_class: str
    sizes: int
    failed: int
    worst: float
    max_abs: float
    worst_at: str
    rtol: float
    atol: float
    why: str
    weak: str
    fault: str


def problems(kernel: Kernel, columns: Sequence[int] = _COLUMNS) -> Iterable[Problem]:
    """Sizes that exercise odd widths and every option."""
    family = kernel.family
    for size, dtype in itertools.product(columns, ITEMSIZE):
        for chosen in itertools.product(*family.options.values()):
            if "seq" in family.dims and size > _LONGEST:
                continue
            dims = {"count": size * 37, "batch": 2, "rows": 19, "cols": size, "heads": 3, "seq": size, "width": 64}
            yield Problem({d: dims[d] for d in family.dims}, dtype, dict(zip(family.options, chosen, strict=True)))


def rows(kernels: Sequence[Kernel], columns: Sequence[int] = _COLUMNS) -> list[Row]:
    """Run everything on this GPU; versions that need a library product beside them are left out."""
    own = [k for k in kernels if "matmul(" not in k.launch]
    gpu = device.current().gpu
    done = compile_all((k, p, gpu) for k in own for p in problems(k, columns))
    ready = [r for r in done if not isinstance(r, Refused)]
    found: dict[tuple[str, str, str], list[Accuracy]] = {}
    for (seed, one), input_class in itertools.product(enumerate(ready), CLASSES):
        got = measure(device.current(), one, input_class, seed)
        found.setdefault((got.kernel, one.plan.problem.dtype, input_class), []).append(got)
    return [_worst(key, results) for key, results in found.items()]


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every version is right or declared weak, 1 when one is not, 2 without a GPU."""
    parser = argparse.ArgumentParser(prog="python -m bench.kernels.accuracy", description=__doc__)
    parser.add_argument("-k", default="", help="only versions whose id contains this")
    parser.add_argument("--columns", type=int, nargs="*", default=list(_COLUMNS), help="row widths")
    parser.add_argument("--out", type=Path, help="write the table as JSON")
    parser.add_argument("--commit", default="", help="commit of the sources when git is not at hand")
    options = parser.parse_args(arguments)
    reason = device.unavailable()
    if reason:
        print(reason, file=sys.stderr)
        return 2
    chosen = [k for k in all_kernels() if options.k in k.id]
    table = rows(chosen, options.columns)
    bad = [r for r in table if r.fault or (r.failed and not r.weak)]
    for r in table:
        verdict = "FAULT " + r.fault if r.fault else "ok" if not r.failed else "weak" if r.weak else "WRONG"
        print(f"{r.kernel:28} {r.dtype} {r.input_class:9} {r.worst:9.3g} x tolerance, {r.failed}/{r.sizes} {verdict}")
    if options.out:
        from bench.kernels.environment import describe

        facts = describe(chosen, "python -m bench.kernels.accuracy", options.commit)
        body = {"environment": facts, "rows": [asdict(r) for r in table]}
        options.out.write_text(json.dumps(body, indent=0), encoding="utf-8")
    return 1 if bad else 0


def _worst(key: tuple[str, str, str], results: Sequence[Accuracy]) -> Row:
    top = max(results, key=lambda a: a.worst)
    return Row(
        *key,
        sizes=len(results),
        failed=sum(not a.passed for a in results),
        worst=top.worst,
        max_abs=max(a.max_abs for a in results),
        worst_at=top.problem,
        rtol=top.rtol,
        atol=top.atol,
        why=top.why,
        weak=next((a.weak for a in results if a.weak), ""),
        fault="; ".join(sorted({a.fault for a in results if a.fault})),
    )


if __name__ == "__main__":
    sys.exit(main())
