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
    """Phases in the order they were first entered; one entered again adds its seconds.

    `current` is the innermost one, kept after an error to say where it was.
    """

    show: Callable[[str], None] = lambda name: None
    seconds: dict[str, float] = field(default_factory=dict)
    from_cache: set[str] = field(default_factory=set)
    current: str = "start"

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Enter the phase `name`."""
        self.current = name
        self.show(name)
        start = time.perf_counter()
        with nvtx.annotate(name, domain=DOMAIN):
            yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def cached(self, name: str) -> None:
        """Say that the artefact of a phase was there already."""
        self.from_cache.add(name)

    @property
    def done(self) -> tuple[Phase, ...]:
        """What the record keeps."""
        return tuple(Phase(name, seconds, name in self.from_cache) for name, seconds in self.seconds.items())
