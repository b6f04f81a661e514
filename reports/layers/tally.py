"""Layers summed by group, type or module."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

import msgspec

from reports.layers.layer import Layer


class Share(msgspec.Struct, frozen=True):
    """What the layers of one name take together: microseconds a run (None where no layer is timed), fraction 0..1, number."""

    name: str
    mean_us: float | None
    share: float
    layers: int


def tally(layers: Iterable[Layer], key: Callable[[Layer], str]) -> tuple[Share, ...]:
    """Every name that a layer has, largest first; where nothing is timed the most frequent first."""
    members: dict[str, list[Layer]] = defaultdict(list)
    for layer in layers:
        members[key(layer)].append(layer)
    return tuple(sorted((_share(name, of) for name, of in members.items()), key=lambda s: (-(s.mean_us or 0.0), -s.layers, s.name)))


def _share(name: str, members: list[Layer]) -> Share:
    times = [layer.mean_us for layer in members if layer.mean_us is not None]
    return Share(name, sum(times) if times else None, sum(layer.share for layer in members), len(members))
