"""What helped one at a time, put together in one pipeline."""

from __future__ import annotations

from collections.abc import Sequence

from bench.passes import ALL, WITH, WITHOUT
from bench.tune.point import Point


def together(points: Sequence[Point], precision: str) -> str:
    """`all` with every further pass, and without every one of its own, that alone made it faster in this precision; "" for fewer than two.

    By medians: one that only seemed to help costs a timing, and the clock judges the whole. Of a pass with options the fastest one counts.
    """
    speed = {point.case.pipeline: point.speedup.value for point in points if point.case.precision == precision and not point.same_as}
    base = speed.get(ALL)
    if base is None:
        return ""
    faster = sorted((text for text, value in speed.items() if value > base and _one_change(text)), key=lambda text: -speed[text])
    changes = {text[len(ALL) + 1 :].partition(":")[0]: text[len(ALL) :] for text in reversed(faster)}
    return ALL + "".join(sorted(changes.values())) if len(changes) > 1 else ""


def _one_change(pipeline: str) -> bool:
    rest = pipeline.removeprefix(ALL)
    return rest != pipeline and rest[:1] in (WITH, WITHOUT) and not any(mark in rest[1:] for mark in (WITH, WITHOUT, "+"))
