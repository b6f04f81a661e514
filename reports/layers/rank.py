"""Joined rows -> Layers, slowest first."""

from __future__ import annotations

from collections.abc import Sequence

from reports.layers.ancestry import module, nodes
from reports.layers.found import Described
from reports.layers.groups import group
from reports.layers.join import Row
from reports.layers.layer import Layer

_NOTHING = Described("")


def rank(rows: Sequence[Row]) -> tuple[Layer, ...]:
    """Slowest first by mean, equal ones in the order of their names; shares are of the sum of all, so they add up to 1.

    Layers without a time come last, in the engine's order.
    """
    means = [time.mean_us if time else -1.0 for time, _ in rows]
    total = sum(mean for mean in means if mean > 0) or 1.0
    ranked, cumulative = [], 0.0
    for number, at in enumerate(_slowest_first(means, rows), 1):
        time, described = rows[at]
        one = described or _NOTHING
        share = means[at] / total if time else 0.0
        cumulative += share
        name = (time or one).name
        inside = nodes(name, one.metadata)
        ranked.append(
            Layer(
                number,
                name,
                one.type,
                group(name, one, inside),
                time.mean_us if time else None,
                time.median_us if time else None,
                time.total_us if time else None,
                share,
                cumulative,
                time.calls if time else 1,
                inside,
                module(inside),
                one.inputs,
                one.outputs,
                one.bytes_read,
                one.bytes_written,
                one.operations,
                one.subtype,
                one.tactic,
                one.stream,
                at,
            )
        )
    return tuple(ranked)


def _slowest_first(means: Sequence[float], rows: Sequence[Row]) -> list[int]:
    order = sorted(range(len(rows)), key=means.__getitem__, reverse=True)
    start = 0
    for at in range(1, len(order) + 1):
        if at == len(order) or means[order[at]] != means[order[start]]:
            if at - start > 1 and means[order[start]] >= 0:
                order[start:at] = sorted(order[start:at], key=lambda row: (rows[row][0] or _NOTHING).name)
            start = at
    return order
