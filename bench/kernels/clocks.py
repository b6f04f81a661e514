"""Clocks, temperature, power and throttle reasons by NVML, sampled while kernels are timed."""

from __future__ import annotations

import threading
from importlib import import_module
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self

from bench.kernels.measurement import Clocks

_REASONS = (
    "SwPowerCap",
    "HwSlowdown",
    "SwThermalSlowdown",
    "HwThermalSlowdown",
    "HwPowerBrakeSlowdown",
)


class Watch:
    """`with Watch() as w: ...` then `w.clocks`; None when NVML is not installed."""

    def __init__(self, period_s: float = 0.1) -> None:
        self.period_s = period_s
        self._stop = threading.Event()
        self._seen: list[tuple[int, int, int, float, int]] = []
        self._nvml: Any = import_module("pynvml") if find_spec("pynvml") else None

    def __enter__(self) -> Self:
        if self._nvml is not None:
            self._nvml.nvmlInit()
            self._gpu = self._nvml.nvmlDeviceGetHandleByIndex(0)
            self._thread = threading.Thread(target=self._sample, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._nvml is not None:
            self._thread.join()

    @property
    def clocks(self) -> Clocks | None:
        """The readings summed up."""
        if not self._seen:
            return None
        sm, memory, celsius, watts, bits = zip(*self._seen, strict=True)
        found = [r for r in _REASONS if any(b & self._bit(r) for b in bits)]
        return Clocks(min(sm), max(sm), max(memory), max(celsius), max(watts), tuple(found))

    def _bit(self, reason: str) -> int:
        for prefix in ("nvmlClocksEventReason", "nvmlClocksThrottleReason"):
            if hasattr(self._nvml, prefix + reason):
                return int(getattr(self._nvml, prefix + reason))
        return 0

    def _sample(self) -> None:
        n, gpu = self._nvml, self._gpu
        while True:
            self._seen.append(
                (
                    n.nvmlDeviceGetClockInfo(gpu, n.NVML_CLOCK_SM),
                    n.nvmlDeviceGetClockInfo(gpu, n.NVML_CLOCK_MEM),
                    n.nvmlDeviceGetTemperature(gpu, n.NVML_TEMPERATURE_GPU),
                    n.nvmlDeviceGetPowerUsage(gpu) / 1000,
                    n.nvmlDeviceGetCurrentClocksThrottleReasons(gpu),
                )
            )
            if self._stop.wait(self.period_s):
                return
