"""Which files belong to one engine, by their names."""

from __future__ import annotations

import re
from pathlib import Path

EXTENSION = re.compile(r"\.(?:json|log|txt)(?:\.gz)?$|\.gz$", re.IGNORECASE)
PART = re.compile(
    r"(?:^|[._-])(?:export)?(?:profile|graph|layer[_-]?info(?:rmation)?|layers|engine_info|layer_latency|timings?|times|inspector|trtexec)$",
    re.IGNORECASE,
)
MOST = 2000
"""Entries of a folder looked at."""


def stem(path: Path) -> tuple[str, str]:
    """(folder, engine): `out/x.profile.json` and `out/x_layer_info.json.gz` are both of ("out", "x")."""
    name = EXTENSION.sub("", path.name)
    return str(path.parent), PART.sub("", name) if PART.search(name) else name


def siblings(path: Path) -> tuple[Path, ...]:
    """The other files of the same engine in the same folder, in name order; none for a file whose own name says no part."""
    name = EXTENSION.sub("", path.name)
    if not PART.search(name):
        return ()
    own = stem(path)
    try:
        beside = sorted(entry for entry, _ in zip(path.parent.iterdir(), range(MOST), strict=False))
    except OSError:
        return ()
    return tuple(
        other
        for other in beside
        if other.name != path.name and PART.search(EXTENSION.sub("", other.name)) and EXTENSION.search(other.name) and stem(other) == own
    )
