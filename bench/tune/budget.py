"""Wall-clock seconds that a search may take, and how they are written."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from common.errors import UserError

SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def parse(text: str) -> float:
    """Seconds of "90", "90s", "10m", "1.5h". Raises UserError for anything else."""
    found = re.fullmatch(r"\s*(\d{1,7}(?:\.\d+)?)\s*(s|m|min|h)?\s*", text)
    seconds = float(found[1]) * SECONDS[found[2] or ""] if found else 0.0
    if seconds <= 0:
        raise UserError(f"--budget: '{text}' is no time; write 90s, 10m or 1h")
    return seconds


def said(seconds: float) -> str:
    """Such as "0:45", "12:03", "1:02:03"."""
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


@dataclass(slots=True)
class Budget:
    """`seconds` from now on; `clock` is monotonic."""

    seconds: float
    clock: Callable[[], float] = time.monotonic
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock()

    @property
    def spent(self) -> float:
        """Seconds gone."""
        return self.clock() - self.began

    def allows(self, share: float = 1.0) -> bool:
        """Whether something new may begin, for a phase that ends at `share` of the whole."""
        return self.spent < share * self.seconds
