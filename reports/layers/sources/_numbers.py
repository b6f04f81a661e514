"""Milliseconds as files hold them: a negative, endless or absurd one is no time."""

from __future__ import annotations

LONGEST_MS = 1e12
"""Thirty years: no layer takes longer, and sums of such values stay finite."""
MOST_RUNS = 10**12


def milliseconds(value: float | str | None) -> float:
    """The value, 0 where it is not a time."""
    try:
        number = float(value or 0.0)
    except ValueError:
        return 0.0
    return number if 0.0 <= number <= LONGEST_MS else 0.0
