"""What every attention version must hold on a GPU: all input classes, awkward lengths, nothing written outside."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from bench.kernels.parallel import Refused, compile_all
from plugins import device
from plugins.accuracy import measure, run
from plugins.discovery import all_kernels, families, find
from plugins.inputs import CLASSES, make
from plugins.kernel import Kernel, Problem

pytestmark = pytest.mark.skipif(device.unavailable() is not None, reason=str(device.unavailable()))

FUSED = [k for k in all_kernels() if k.family.name == "attention" and "matmul(" not in k.launch]
# One, two and many tiles, odd ends, teams that share the keys (few heads) ...
LENGTHS = (1, 2, 15, 17, 63, 64, 65, 127, 128, 129, 160, 197, 224, 225, 256, 257, 384, 385, 512, 777, 1023, 1024)
# ... and heads enough for a team each; on fewer classes, because their float64 answers take seconds.
CROWDED = (128, 197, 384)
CROWDED_CLASSES = ("random", "special")


def problems(dtype: str, heads: int, lengths: Sequence[int]) -> Iterator[Problem]:
    for seq, masked in itertools.product(lengths, (False, True)):
        yield Problem({"batch": heads // 2, "heads": 2, "seq": seq, "width": 64}, dtype, {"masked": masked})


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
@pytest.mark.parametrize("kernel", FUSED, ids=lambda k: k.id)
def test_a_fused_version_agrees_with_float64_on_every_input_class(kernel: Kernel, dtype: str) -> None:
    work = [(p, CLASSES) for p in problems(dtype, 2, LENGTHS)] + [(p, CROWDED_CLASSES) for p in problems(dtype, 200, CROWDED)]
    ready = compile_all((kernel, p, device.current().gpu) for p, _ in work)
    reasons = [r.reason for r in ready if isinstance(r, Refused)]
    if len(reasons) == len(ready):
        pytest.skip(reasons[0])
    assert not reasons
    tried = [(one, c) for one, (_, classes) in zip(ready, work, strict=True) for c in classes]
    for seed, (one, input_class) in enumerate(tried):
        assert not isinstance(one, Refused)
        got = measure(device.current(), one, input_class, seed)
        assert got.passed, f"{got.problem} {input_class}: {got.worst:.3g} x tolerance {got.fault}"


@pytest.mark.parametrize("kernel", FUSED, ids=lambda k: k.id)
def test_no_heads_touch_nothing_and_two_runs_give_the_same_bits(kernel: Kernel) -> None:
    for batch in (0, 2):
        problem = Problem({"batch": batch, "heads": 3, "seq": 197, "width": 64}, "fp16", {"masked": True})
        (one,) = compile_all([(kernel, problem, device.current().gpu)])
        if isinstance(one, Refused):
            pytest.skip(one.reason)
        inputs = make(kernel.family, problem, "random", np.random.default_rng(0))
        first, damage = run(device.current(), one, inputs)
        again, _ = run(device.current(), one, inputs)
        assert damage == ""
        assert np.array_equal(first["y"], again["y"])


@pytest.mark.parametrize("dtype", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("masked", [False, True])
def test_the_unfused_version_agrees_with_float64(dtype: str, masked: bool) -> None:
    torch = pytest.importorskip("torch", reason="its matrix products are torch's: pip install torch")
    from bench.kernels.contenders import Absent, buffers, version

    family, kernel = families()["attention"], find("attention/v1_unfused")
    for seq in (1, 65, 197, 384, 1024):
        problem = Problem({"batch": 2, "heads": 3, "seq": seq, "width": 64}, dtype, {"masked": masked})
        sets = buffers(family, problem, 1)
        contender = version(device.current(), kernel, problem, sets)
        assert not isinstance(contender, Absent)
        contender.launch(0)
        torch.cuda.synchronize()
        inputs = {n: t.double().cpu().numpy() for n, t in sets[0].items() if n != "y"}
        expected = family.expect(inputs, problem)["y"]
        room = family.tolerance(dtype, "random")
        error = np.abs(sets[0]["y"].double().cpu().numpy() - expected)
        assert (error <= room.atol + room.rtol * np.abs(expected)).all(), f"{seq}: {error.max()}"
