"""Numbers as files hold them: a negative, endless or absurd one is no time, and a million layers are no engine."""

from __future__ import annotations

from common.errors import UserError

LONGEST_MS = 1e12
"""Thirty years: no layer takes longer, and sums of such values stay finite."""
MOST_RUNS = 10**12
MOST_LAYERS = 1_000_000
"""Layers of one file; the largest engines have some ten thousand."""


def milliseconds(value: float | str | None) -> float:
    """The value, 0 where it is not a time."""
    try:
        number = float(value or 0.0)
    except ValueError:
        return 0.0
    return number if 0.0 <= number <= LONGEST_MS else 0.0


def bounded(layers: int) -> None:
    """Raises UserError beyond MOST_LAYERS; asked before each layer costs a row, so that a file of names takes no gigabytes."""
    if layers > MOST_LAYERS:
        raise UserError(f"holds more than {MOST_LAYERS:,} layers, which no engine has: give the files of one engine")
