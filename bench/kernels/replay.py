"""Hand measured samples to pytest-benchmark through its public `timer` option."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class ReplayClock:
    """A timer whose every second reading is one sample later than the reading before it."""

    __name__ = "kernel_samples"

    def __init__(self) -> None:
        self._now = 0.0
        self._samples: list[float] = []
        self._inside = False

    def __call__(self) -> float:
        """Seconds."""
        if self._inside:
            self._now += self._samples.pop()
        self._inside = not self._inside
        return self._now

    def replay(self, benchmark: Any, samples_us: Sequence[float]) -> None:
        """Make `samples_us` the rounds of this benchmark."""
        self._samples = [sample / 1e6 for sample in samples_us][::-1]
        self._now, self._inside = 0.0, False
        benchmark.pedantic(lambda: None, rounds=len(samples_us))


CLOCK = ReplayClock()
