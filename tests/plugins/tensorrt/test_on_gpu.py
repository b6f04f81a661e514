"""The code object that TensorRT is handed, launched with exactly the arguments it is handed."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping

import numpy as np
import pytest

from plugins.device import Device, current, unavailable
from plugins.inputs import NUMPY, make
from plugins.kernel import Array, Problem
from plugins.tensorrt.bindings import Bindings
from plugins.tensorrt.dry_run import Launch, evaluate
from plugins.tensorrt.op import Op, bind
from plugins.tensorrt.register import register_all
from tests.plugins.tensorrt import standin
from tests.plugins.tensorrt.test_quick_plugins import CASES, OPS, SHAPES, attributes

TENSORRT = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


@pytest.fixture(scope="module")
def trt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bindings]:
    reason = unavailable() or standin.unavailable()
    if reason:
        pytest.skip(reason)
    with standin.bindings(tmp_path_factory.mktemp("libraries")) as bindings:
        register_all(bindings, current().gpu, lazy=True)
        yield bindings


def problem_of(op: Op, dtype: str) -> Problem:
    options = {k: v for k, v in attributes(op, "").items() if k in op.family.options}
    dims = bind(op, SHAPES[op.name], lambda a, b: a * b)
    return Problem(dims, dtype, {**op.settled, **options})  # type: ignore[dict-item]  # options hold no floats


@pytest.mark.parametrize("dtype", list(TENSORRT))
@pytest.mark.parametrize(("name", "version"), CASES)
def test_the_launch_that_tensorrt_would_make_gives_the_references_output(trt: Bindings, name: str, version: str, dtype: str) -> None:
    op, device = OPS[name], current()
    problem = problem_of(op, dtype)
    if op.family.name == "attention" and dtype == "fp32":
        pytest.skip("the fused versions take fp16 and bf16")
    launch = evaluate(trt, op.id, SHAPES[name], TENSORRT[dtype], attributes(op, version))
    inputs = make(op.family, problem, "random", np.random.default_rng(3))
    shapes = {t.name: shape for t, shape in zip(op.outputs, launch.output_shapes, strict=True)}
    got = run(device, launch, inputs, shapes, dtype)
    expected = op.family.expect(inputs, problem)
    room = op.family.tolerance(dtype, "random")
    for tensor in op.outputs:
        true = expected[tensor.name].reshape(shapes[tensor.name])
        error = np.abs(got[tensor.name].astype(np.float64) - true)
        assert (error <= room.atol + room.rtol * np.abs(true)).all(), f"{tensor.name}: {error.max()}"


def run(
    device: Device, launch: Launch, inputs: Mapping[str, Array], outputs: Mapping[str, tuple[int, ...]], dtype: str
) -> dict[str, Array]:
    """Inputs' addresses, the int32 extras, outputs' addresses; no shared-memory opt-in."""
    module = device.call("cuModuleLoadData", launch.code + b"\0")
    function = device.call("cuModuleGetFunction", module, launch.entry.encode())
    back = {n: np.full(s, np.nan).astype(NUMPY[dtype]) for n, s in outputs.items()}
    slabs = [(a, int(device.call("cuMemAlloc", max(16, a.nbytes)))) for a in (*map(np.ascontiguousarray, inputs.values()), *back.values())]
    for array, address in slabs:
        device.call("cuMemcpyHtoD", address, array.ctypes.data, array.nbytes)
    pointers = [ctypes.c_uint64(address) for _, address in slabs]
    values = [*pointers[: len(inputs)], *map(ctypes.c_int32, launch.extra), *pointers[len(inputs) :]]
    addresses = (ctypes.c_void_p * len(values))(*[ctypes.addressof(v) for v in values])
    device.call("cuLaunchKernel", function, *launch.grid, *launch.block, launch.shared, 0, ctypes.addressof(addresses), 0)
    device.synchronize()
    for array, address in slabs[len(inputs) :]:
        device.call("cuMemcpyDtoH", array.ctypes.data, address, array.nbytes)
    for _, address in slabs:
        device.call("cuMemFree", address)
    device.call("cuModuleUnload", module)
    return back
