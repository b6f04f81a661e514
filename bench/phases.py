"""The phases of a run: each is an NVTX range, a line of progress and a duration on the record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import nvtx

from reports.record import Phase

DOMAIN = "trtbench"


@dataclass(slots=True)
class Phases:
    """Phases in the order they were entered; `current` is the innermost one, kept after an error to say where it was."""

    show: Callable[[str], None] = lambda name: None
    done: list[Phase] = field(default_factory=list)
    current: str = "start"

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Enter the phase `name`; use `cached()` inside to say that nothing had to be made."""
        self.current = name
        self.show(name)
        start = time.perf_counter()
        with nvtx.annotate(name, domain=DOMAIN):
            yield
        self.done.append(Phase(name, time.perf_counter() - start))

    def cached(self) -> None:
        """Mark the phase that has just ended as answered from the cache."""
        last = self.done[-1]
        self.done[-1] = Phase(last.name, last.seconds, cached=True)
