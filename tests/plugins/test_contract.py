"""What every kernel version must hold, whatever its family: runs on a GPU, skips with the reason."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from bench.kernels.parallel import Refused, compile_all
from plugins import device
from plugins.accuracy import Accuracy, measure, run
from plugins.discovery import all_kernels
from plugins.inputs import CLASSES, make
from plugins.kernel import ITEMSIZE, Kernel, Problem
from plugins.prepare import Ready

pytestmark = pytest.mark.skipif(device.unavailable() is not None, reason=str(device.unavailable()))

AWKWARD = (1, 2, 3, 5, 7, 8, 9, 16, 31, 33, 63, 64, 65, 100, 127, 129, 197, 256, 257, 320, 500, 511, 513, 768, 1000)
WIDE = (1023, 1024, 1025, 1536, 2047, 2050, 3072, 4095, 4096, 4097, 4099, 8192, 16383, 16384)
# Attention runs on a library product beside the kernel: tests/plugins/attention covers it.
KERNELS = [k for k in all_kernels() if k.family.name != "attention"]


# Row counts at which a launch block that takes hints from them chooses otherwise than at a few.
MANY = ((1300, 4096), (2200, 768), (4300, 768), (17000, 256))


def sizes(kernel: Kernel) -> Iterator[dict[str, int]]:
    if kernel.family.dims == ("count",):
        yield from ({"count": n * 7 + 1} for n in (*AWKWARD, *WIDE))
        return
    for cols in (*AWKWARD, *WIDE):
        rows = 5 if cols > 4099 else 37
        yield {"rows": rows, "cols": cols} if len(kernel.family.dims) == 2 else {"batch": 3, "rows": rows // 3, "cols": cols}


def problems(kernel: Kernel, dtype: str, align: int = 16) -> list[Problem]:
    options = [dict(zip(kernel.family.options, c, strict=True)) for c in itertools.product(*kernel.family.options.values())]
    # One set of options a size, in turn: every option meets every kind of width.
    return [Problem(dims, dtype, options[i % len(options)], align) for i, dims in enumerate(sizes(kernel))]


def crowded(kernel: Kernel, dtype: str) -> list[Problem]:
    """Many rows, for versions of two dimensions whose launch block asks how many there are."""
    if "hint(" not in kernel.launch or kernel.family.dims != ("rows", "cols"):
        return []
    options = {name: values[0] for name, values in kernel.family.options.items()}
    return [Problem({"rows": rows, "cols": cols}, dtype, options) for rows, cols in MANY]


@pytest.fixture(scope="module", autouse=True)
def everything_compiled(request: pytest.FixtureRequest) -> None:
    """All that the chosen tests will ask for, at once: a pool of compilers a test would cost more than its work."""
    chosen = {
        i.callspec.params["kernel"].id: i.callspec.params["kernel"]
        for i in request.session.items
        if hasattr(i, "callspec") and i.path == request.path
    }
    aligns = {dtype: (16, size) for dtype, size in ITEMSIZE.items()}
    work = [(k, p) for k in chosen.values() for d in ITEMSIZE for p in crowded(k, d)]
    work += [(k, p) for k in chosen.values() for d, sizes_ in aligns.items() for a in sizes_ for p in problems(k, d, a)]
    compile_all((kernel, problem, device.current().gpu) for kernel, problem in work)


def ready(kernel: Kernel, dtype: str, align: int = 16) -> list[Ready]:
    done = compile_all((kernel, problem, device.current().gpu) for problem in problems(kernel, dtype, align))
    wrong = [r.reason for r in done if isinstance(r, Refused) and r.wrong]
    assert not wrong, wrong[0]
    return [r for r in done if not isinstance(r, Refused)]


def fair(problem: Problem, input_class: str) -> bool:
    """In a few elements near 1e4 that happen to lie close together, the rounding of their mean decides, whatever the method."""
    return input_class != "shifted" or problem.dims.get("cols", 16) >= 16


def told(failed: list[Accuracy]) -> str:
    return "; ".join(f"{a.problem}: {a.worst:.3g} x tolerance {a.fault}" for a in failed[:5])


@pytest.mark.parametrize("dtype", ITEMSIZE)
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.id)
def test_a_version_agrees_with_float64_on_every_input_class(kernel: Kernel, dtype: str) -> None:
    found = ready(kernel, dtype)
    assert found
    for input_class in CLASSES:
        results = [measure(device.current(), r, input_class, seed) for seed, r in enumerate(found) if fair(r.plan.problem, input_class)]
        weak = any(a.weak for a in results)
        faults = [a for a in results if a.fault]
        failed = [a for a in results if not a.passed]
        assert not faults, told(faults)
        assert weak or not failed, f"{input_class}: {told(failed)}"
        assert not weak or failed, f"{input_class}: declared weak, but every size passes: drop the weak(...) line"


@pytest.mark.parametrize("dtype", ITEMSIZE)
@pytest.mark.parametrize("kernel", [k for k in KERNELS if crowded(k, "fp32")], ids=lambda k: k.id)
def test_a_version_that_asks_for_the_row_count_agrees_with_float64_on_many_rows(kernel: Kernel, dtype: str) -> None:
    done = compile_all((kernel, problem, device.current().gpu) for problem in crowded(kernel, dtype))
    found = [one for one in done if isinstance(one, Ready)]
    assert len(found) == len(MANY)
    results = [measure(device.current(), one, input_class, 5) for one in found for input_class in ("random", "shifted")]
    failed = [a for a in results if not a.passed]
    assert not failed, told(failed)


@pytest.mark.parametrize("dtype", ITEMSIZE)
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.id)
def test_a_version_takes_pointers_aligned_to_one_element(kernel: Kernel, dtype: str) -> None:
    results = [measure(device.current(), r, "random", 3) for r in ready(kernel, dtype, align=ITEMSIZE[dtype])]
    failed = [a for a in results if not (a.passed or a.weak)]
    assert not failed, told(failed)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.id)
def test_zero_rows_touch_nothing(kernel: Kernel) -> None:
    first, *others = kernel.family.dims
    problem = Problem({first: 0} | dict.fromkeys(others, 64), "fp16", {k: v[0] for k, v in kernel.family.options.items()})
    (done,) = compile_all([(kernel, problem, device.current().gpu)])
    assert isinstance(done, Ready)
    inputs = make(kernel.family, problem, "random", np.random.default_rng(0))
    outputs, damage = run(device.current(), done, inputs)
    assert damage == ""
    assert all(a.size == 0 for a in outputs.values())


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.id)
def test_two_runs_give_the_same_bits(kernel: Kernel) -> None:
    widest = ready(kernel, "fp16")[-1]
    inputs = make(kernel.family, widest.plan.problem, "random", np.random.default_rng(0))
    first, _ = run(device.current(), widest, inputs)
    again, _ = run(device.current(), widest, inputs)
    assert all(np.array_equal(first[n], again[n]) for n in first)
