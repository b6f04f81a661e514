"""What keeps a CPU measurement quiet: one core and no garbage collection."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet(threads: int) -> Iterator[None]:
    """Stay on the last allowed core when `threads` is 1 (interrupts favour the first); collect garbage before, not during."""
    allowed = os.sched_getaffinity(0)
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        if threads == 1:
            os.sched_setaffinity(0, {max(allowed)})
        yield
    finally:
        os.sched_setaffinity(0, allowed)
        if enabled:
            gc.enable()
