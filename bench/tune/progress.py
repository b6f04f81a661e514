"""How far a search is, on standard error: one line that changes on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import dataclass

from bench.tune.budget import Budget, said
from reports.wording import shorten

EVERY_S = 10.0


@dataclass(slots=True)
class Progress:
    """Phase, done of total, the best so far, and the time left: of the phase at its pace, never more than the budget's."""

    budget: Budget
    live: bool = False
    _phase: str = ""
    _began: float = 0.0
    _printed: float = 0.0

    def __call__(self, phase: str, done: int, total: int, best: str = "") -> None:
        """See quest.Show."""
        now = time.monotonic()
        if phase != self._phase:
            self._phase, self._began, self._printed = phase, now, 0.0
        if not self.live and now - self._printed < EVERY_S:
            return
        self._printed = now
        line = f"tune  {said(self.budget.spent)}  {phase} {done}/{total}{self._left(done, total, now)}"
        line += f"  best so far {best}" if best else ""
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[K{shorten(line, width)}", end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line."""
        if self.live and self._phase:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def _left(self, done: int, total: int, now: float) -> str:
        if not done or total <= done:
            return ""
        phase = (now - self._began) / done * (total - done)
        return f", {said(min(phase, max(0.0, self.budget.seconds - self.budget.spent)))} left"
