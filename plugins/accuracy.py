"""Run one version once on the GPU between guard bands and compare it with its reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from plugins.device import Device, Matmul
from plugins.inputs import NUMPY, make
from plugins.kernel import Array
from plugins.prepare import Ready

_GUARD = 512
_CANARY, _POISON = (
    0xA5,
    0x5A,
)  # 0x5A5A... is finite in every dtype and no kernel's answer


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How far one run was from float64. `worst` is the largest error in units of its tolerance."""

    kernel: str
    problem: str
    input_class: str
    worst: float
    max_abs: float
    rtol: float
    atol: float
    why: str
    weak: str
    fault: str

    @property
    def passed(self) -> bool:
        """Within tolerance, nothing unwritten, no byte outside the outputs touched."""
        return self.worst <= 1 and not self.fault


def measure(
    device: Device,
    ready: Ready,
    input_class: str,
    seed: int,
    matmul: Matmul | None = None,
) -> Accuracy:
    """Inputs of the class, one launch, float64 comparison. Raises DeviceError if the launch fails."""
    plan, family = ready.plan, ready.plan.kernel.family
    problem = plan.problem
    inputs = make(family, problem, input_class, np.random.default_rng(seed))
    outputs, fault = run(device, ready, inputs, matmul)
    expected = family.expect(inputs, problem)
    tolerance = family.tolerance(problem.dtype, input_class)
    worst = max_abs = 0.0
    for name, got in outputs.items():
        unit, size = _compare(got, expected[name], tolerance.rtol, tolerance.atol)
        worst, max_abs = max(worst, unit), max(max_abs, size)
    return Accuracy(
        kernel=plan.kernel.id,
        problem=problem.id,
        input_class=input_class,
        worst=worst,
        max_abs=max_abs,
        rtol=tolerance.rtol,
        atol=tolerance.atol,
        why=tolerance.why,
        weak=plan.weak.get(input_class, ""),
        fault=fault,
    )


def run(
    device: Device,
    ready: Ready,
    inputs: Mapping[str, Array],
    matmul: Matmul | None = None,
) -> tuple[dict[str, Array], str]:
    """Outputs by name, and what was damaged: a guard band or an input ("" if nothing)."""
    plan, family = ready.plan, ready.plan.kernel.family
    problem, dtype = plan.problem, NUMPY[plan.problem.dtype]
    shapes = {t.name: tuple(problem.dims[d] for d in t.dims) for t in family.tensors(family.outputs, problem)}
    blank = {n: _filled(int(np.prod(s)) * dtype.itemsize, _POISON) for n, s in shapes.items()}
    spare = {n: _filled(size * dtype.itemsize, _POISON) for n, size in plan.workspace.items()}
    bytes_in = {n: np.ascontiguousarray(a).view(np.uint8).reshape(-1) for n, a in inputs.items()}
    slabs = {n: _Slab(device, b, problem.align) for n, b in {**bytes_in, **blank, **spare}.items()}
    loaded = device.load(ready)
    try:
        loaded.enqueue({n: s.pointer for n, s in slabs.items()}, 0, matmul)
        device.synchronize()
        back = {n: s.read() for n, s in slabs.items()}
    finally:
        for slab in slabs.values():
            slab.free()
        loaded.unload()
    damaged = [f"wrote outside {n}" for n, (_, intact) in back.items() if not intact]
    damaged += [f"changed input {n}" for n, b in bytes_in.items() if not np.array_equal(back[n][0], b)]
    outputs = {n: back[n][0].view(dtype).reshape(s) for n, s in shapes.items()}
    return outputs, "; ".join(damaged)


def _filled(size: int, byte: int) -> Array:
    return np.full(size, byte, dtype=np.uint8)


def _compare(got: Array, expected: Array, rtol: float, atol: float) -> tuple[float, float]:
    """(largest error over its tolerance, largest absolute error); infinite when NaN or inf differ."""
    with np.errstate(all="ignore"):
        target = expected.astype(got.dtype).astype(np.float64)
        found = got.astype(np.float64)
        odd = ~np.isfinite(target)
        if not np.array_equal(found[odd], target[odd], equal_nan=True):
            return float("inf"), float("inf")
        error = np.abs(found - expected)[~odd]
        room = (atol + rtol * np.abs(expected))[~odd]
    if not error.size:
        return 0.0, 0.0
    if not np.isfinite(error).all():
        return float("inf"), float("inf")
    return float((error / room).max()), float(error.max())


class _Slab:
    """Device memory for one tensor between two guard bands, its address a multiple of `align` only."""

    def __init__(self, device: Device, content: Array, align: int) -> None:
        self.device, self.size = device, content.size
        self.offset = _GUARD + (align if align < 16 else 0)
        self.whole = _filled(self.offset + content.size + _GUARD, _CANARY)
        self.whole[self.offset : self.offset + content.size] = content
        self.base = int(device.call("cuMemAlloc", self.whole.size))
        device.call("cuMemcpyHtoD", self.base, self.whole.ctypes.data, self.whole.size)

    @property
    def pointer(self) -> int:
        return self.base + self.offset

    def read(self) -> tuple[Array, bool]:
        """The tensor's bytes, and whether both guard bands are as they were."""
        self.device.call("cuMemcpyDtoH", self.whole.ctypes.data, self.base, self.whole.size)
        end = self.offset + self.size
        guards = np.concatenate([self.whole[: self.offset], self.whole[end:]])
        return self.whole[self.offset : end].copy(), bool((guards == _CANARY).all())

    def free(self) -> None:
        self.device.call("cuMemFree", self.base)
