"""One benchmark a kernel version, peer and problem: `pytest bench/test_kernels.py --benchmark-only`."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import pytest

from bench.kernels.measurement import Timed
from bench.kernels.shapes import Row, contenders, rows
from bench.kernels.stats import median_interval
from bench.replay import REPLAY
from plugins import device
from plugins.discovery import families, kernels

NO_GPU = device.unavailable()
ROWS = {f"{name}-{row.problem.id}": (name, row) for name in families() for row in rows(name)}
CASES = [
    pytest.param(row_id, contender, id=f"{row_id}-{contender}")
    for row_id, (name, _) in ROWS.items()
    for contender in contenders(name, [k.name for k in kernels(families()[name])])
]


@pytest.mark.benchmark(timer=REPLAY)
@pytest.mark.skipif(NO_GPU is not None, reason=str(NO_GPU))
@pytest.mark.filterwarnings("ignore:Benchmark fixture was not used at all")
@pytest.mark.parametrize(("row_id", "contender"), CASES if NO_GPU is None else [pytest.param("", "", id="none")])
def test_kernel(row_id: str, contender: str, benchmark: Any) -> None:
    """All contenders of a problem take turns in one measurement; each becomes one row of samples."""
    timed = _timed(row_id)
    timing = next((t for t in timed.timings if t.name == contender), None)
    if timing is None or timing.reason:
        pytest.skip(timing.reason if timing else f"{contender} does not take part on this machine")
    copy = next((t for t in timed.timings if t.name == "copy"), None)
    benchmark.group = row_id
    benchmark.extra_info.update(
        {
            "where": timed.where,
            "bytes_moved": timed.bytes_moved,
            "over_copy": _over(timing.samples_us, copy.samples_us) if copy else None,
            "worst_error_in_tolerances": timing.worst_error,
            "clocks": str(timed.clocks),
            "environment": _environment(),
        }
    )
    REPLAY.replay(benchmark, timing.samples_us)


@lru_cache(maxsize=1)
def _timed(row_id: str) -> Timed:
    # Tests of one problem follow each other, so one slot is enough.
    from bench.kernels.protocol import Protocol, time_row

    name, row = ROWS[row_id]
    family = families()[name]
    assert isinstance(row, Row)
    return time_row(device.current(), family, kernels(family), row, Protocol())


@cache
def _environment() -> dict[str, str]:
    from bench.kernels.environment import describe

    return describe([k for f in families().values() for k in kernels(f)], "pytest bench/test_kernels.py --benchmark-only")


def _over(ours: tuple[float, ...], copy: tuple[float, ...]) -> float:
    return median_interval([a / b for a, b in zip(ours, copy, strict=True)]).median_us
