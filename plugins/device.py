"""The CUDA driver: is there a GPU, what are its limits, load a cubin, launch it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from plugins.gpu import Gpu
from plugins.kernel import Plan, Step, Unsupported
from plugins.prepare import Ready

Matmul = Callable[[tuple[str, ...]], None]
_OLDEST_DRIVER = 13000


class DeviceError(Exception):
    """The driver refused a call; the message names the call and the driver's own word."""


@cache
def unavailable() -> str | None:
    """Why no kernel can run here, in words that say what to do; None on a machine with a GPU."""
    if find_spec("cuda") is None or find_spec("cuda.bindings") is None:
        return "cuda-bindings is not installed: pip install 'cuda-bindings>=13' nvidia-cuda-nvrtc"
    driver = import_module("cuda.bindings.driver")
    try:
        (status,) = driver.cuInit(0)
    except RuntimeError:
        return "no GPU: this machine has no CUDA driver"
    if int(status) != 0:
        return f"no GPU: the CUDA driver answers {status.name}"
    _, version = driver.cuDriverGetVersion()
    if version < _OLDEST_DRIVER:
        return (
            f"the CUDA driver is for CUDA {version // 1000}.{version % 1000 // 10}; "
            "the kernels need 13.0: update the NVIDIA driver to 580 or later"
        )
    _, count = driver.cuDeviceGetCount()
    return None if count else "no GPU: the CUDA driver finds no device"


@cache
def current() -> Device:
    """GPU 0 with its primary context (the one torch uses) made current."""
    reason = unavailable()
    if reason:
        raise DeviceError(reason)
    return Device(import_module("cuda.bindings.driver"), 0)


class Device:
    """One open GPU. Pointers and streams are plain integers."""

    def __init__(self, driver: Any, index: int) -> None:
        self.driver = driver
        self.handle = self.call("cuDeviceGet", index)
        self.context = self.call("cuDevicePrimaryCtxRetain", self.handle)
        self.call("cuCtxSetCurrent", self.context)
        self.name: str = self.call("cuDeviceGetName", 128, self.handle).decode().split("\0")[0]
        self.gpu = self._limits()

    def call(self, name: str, *args: Any) -> Any:
        """Call the driver; its result, or DeviceError."""
        status, *values = getattr(self.driver, name)(*args)
        if int(status) != 0:
            raise DeviceError(f"{name} failed: {status.name}")
        return values[0] if len(values) == 1 else tuple(values)

    def _limits(self) -> Gpu:
        kinds = self.driver.CUdevice_attribute

        def ask(word: str) -> int:
            kind = getattr(kinds, f"CU_DEVICE_ATTRIBUTE_{word}")
            return int(self.call("cuDeviceGetAttribute", kind, self.handle))

        major, minor = ask("COMPUTE_CAPABILITY_MAJOR"), ask("COMPUTE_CAPABILITY_MINOR")
        return Gpu(
            arch=f"sm_{major}{minor}",
            sms=ask("MULTIPROCESSOR_COUNT"),
            threads_per_sm=ask("MAX_THREADS_PER_MULTIPROCESSOR"),
            blocks_per_sm=ask("MAX_BLOCKS_PER_MULTIPROCESSOR"),
            shared_per_sm=ask("MAX_SHARED_MEMORY_PER_MULTIPROCESSOR"),
            shared_per_block=ask("MAX_SHARED_MEMORY_PER_BLOCK_OPTIN"),
            registers_per_sm=ask("MAX_REGISTERS_PER_MULTIPROCESSOR"),
        )

    def load(self, ready: Ready) -> Loaded:
        """Put machine code on the GPU."""
        module = self.call("cuModuleLoadData", ready.compiled.code)
        function = self.call("cuModuleGetFunction", module, ready.compiled.entry.encode())
        if ready.plan.shared + ready.compiled.shared > 48 * 1024:
            kind = self.driver.CUfunction_attribute
            most = kind.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            self.call("cuFuncSetAttribute", function, most, ready.plan.shared)
        return Loaded(self, ready.plan, module, function)

    def synchronize(self) -> None:
        """Wait for everything; raises DeviceError if a kernel failed."""
        self.call("cuCtxSynchronize")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A version on the GPU, ready to be launched."""

    device: Device
    plan: Plan
    module: Any
    function: Any

    def enqueue(
        self,
        pointers: Mapping[str, int],
        stream: int = 0,
        matmul: Matmul | None = None,
        pdl: bool | None = None,
    ) -> None:
        """Launch on `stream`: device addresses by tensor and workspace name.

        `matmul` runs a library product for versions that ask for one. `pdl` overrides whether the
        kernel may start before its predecessor ends.
        """
        if 0 in self.plan.problem.dims.values():
            return  # nothing to write, and a grid of zero is refused
        for step in self.plan.steps:
            if step.op == "launch":
                self._launch(step, pointers, stream, self.plan.pdl if pdl is None else pdl)
            elif matmul is not None:
                matmul(step.args)
            else:
                raise Unsupported(f"{self.plan.kernel.id} needs a library matrix product: give matmul")

    def unload(self) -> None:
        """Free the module."""
        self.device.call("cuModuleUnload", self.module)

    def _launch(self, step: Step, pointers: Mapping[str, int], stream: int, pdl: bool) -> None:
        driver, plan = self.device.driver, self.plan
        values = _arguments(plan, step, pointers)
        # The driver reads the array of addresses during the call only; `values` outlives it.
        addresses = (ctypes.c_void_p * len(values))(*[ctypes.addressof(v) for v in values])
        config = driver.CUlaunchConfig()
        config.gridDimX, config.gridDimY, config.gridDimZ = plan.grid
        config.blockDimX, config.blockDimY, config.blockDimZ = plan.block
        config.sharedMemBytes, config.hStream = plan.shared, driver.CUstream(stream)
        if pdl:
            early = driver.CUlaunchAttribute()
            early.id = driver.CUlaunchAttributeID.CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION
            early.value.programmaticStreamSerializationAllowed = 1
            config.attrs, config.numAttrs = [early], 1
        self.device.call("cuLaunchKernelEx", config, self.function, ctypes.addressof(addresses), 0)


def _arguments(plan: Plan, step: Step, pointers: Mapping[str, int]) -> list[ctypes.c_void_p | ctypes.c_int32]:
    """Inputs, dimensions as int32, outputs: the order of `plugins/README.md`."""
    family, problem = plan.kernel.family, plan.problem
    ins = [t.name for t in family.tensors(family.inputs, problem)]
    outs = [t.name for t in family.tensors(family.outputs, problem)]
    if step.args:
        ins, outs = list(step.args[:-1]), [step.args[-1]]
    return [
        *[ctypes.c_void_p(pointers[n]) for n in ins],
        *[ctypes.c_int32(problem.dims[d]) for d in family.dims],
        *[ctypes.c_void_p(pointers[n]) for n in outs],
    ]
