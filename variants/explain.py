"""Why a pass left something alone: `trtbench passes --explain` prints it, and the record keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_HEARD: ContextVar[list[str] | None] = ContextVar("declined", default=None)


def decline(where: str, why: str) -> None:
    """Say that what looks like a match at the tensor or node `where` is left alone, and `why` in a short phrase without a full stop.

    For near misses that a reader would ask about; not for every node of another type.
    """
    heard = _HEARD.get()
    sentence = f"{where}: {why}"
    if heard is not None and sentence not in heard:
        heard.append(sentence)


@contextmanager
def listening() -> Iterator[list[str]]:
    """What passes decline inside the block, each sentence once, in order."""
    heard: list[str] = []
    token = _HEARD.set(heard)
    try:
        yield heard
    finally:
        _HEARD.reset(token)
