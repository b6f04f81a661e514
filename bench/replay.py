"""Hand measured samples to pytest-benchmark: it times with the clock it is given, and this one replays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class BenchmarkFixture(Protocol):
    """What is used of pytest-benchmark's fixture."""

    group: str | None
    extra_info: dict[str, object]
    disabled: bool

    def pedantic(self, target: object, rounds: int) -> object:
        """Time `target` `rounds` times."""
        ...


class ReplayClock:
    """A timer whose every second reading is one sample later than the reading before.

    Our samples come from interleaved blocks over fresh loads, which no fixture of pytest-benchmark can take; its
    `timer` option is public, so its table, JSON, histogram and comparison work on exactly our samples.
    """

    __name__ = "trtbench_samples"

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

    def replay(self, benchmark: BenchmarkFixture, samples_us: Iterable[float]) -> None:
        """Make `samples_us` the rounds of this benchmark."""
        self._samples = [sample / 1e6 for sample in samples_us][::-1]
        self._now, self._inside = 0.0, False
        benchmark.pedantic(lambda: None, rounds=len(self._samples))


REPLAY = ReplayClock()
