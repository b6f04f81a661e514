"""One benchmark per case of the matrix: `pytest bench/ --benchmark-only`."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from bench.replay import REPLAY, BenchmarkFixture
from bench.session import Session
from bench.wording import outcome_text
from reports.case import Case
from reports.record import Built, Failed, Inaccurate, Measured, Record, Rejected, Unsupported


@pytest.mark.benchmark(timer=REPLAY)
@pytest.mark.filterwarnings("ignore:Benchmark fixture was not used at all")
def test_engine(case: Case, benchmark: BenchmarkFixture, bench_session: Session, record_property: Callable[[str, object], None]) -> None:
    """Measured cases become rows; accepted ones pass without; what broke fails; what was refused or is inaccurate is expected to happen."""
    record = bench_session.run(case)
    record_property("trtbench", outcome_text(record))
    match record.outcome:
        case Measured() as measured:
            benchmark.group = f"{case.variant} batch {case.batch} {case.backend}"
            benchmark.extra_info.update(extra_info(record))
            REPLAY.replay(benchmark, measured.samples_us)
        case Built():
            pass
        case Unsupported(reason=reason):
            pytest.skip(reason)
        case Inaccurate(reason=reason) | Rejected(reason=reason):
            pytest.xfail(reason)
        case Failed(stage=stage, reason=reason):
            pytest.fail(f"{case.id}: {stage}: {reason}", pytrace=False)


def extra_info(record: Record) -> dict[str, object]:
    """Everything of the record but its samples and layers, which pytest-benchmark's JSON holds or does not need."""
    kept = ("schema", "run", "case", "environment", "accuracy", "digests", "build", "steps")
    found: dict[str, object] = {name: msgspec.to_builtins(getattr(record, name)) for name in kept}
    return found | {"id": record.case.id}
