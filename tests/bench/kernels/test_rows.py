"""The samples that a GPU gave are the rounds that pytest-benchmark shows."""

from __future__ import annotations

from typing import Any

import pytest

import bench.test_kernels as rows
from bench.kernels.measurement import Timed, Timing
from bench.replay import REPLAY

TIMED = Timed(
    "swish",
    "fp16-8",
    "a test",
    {"count": 8},
    "fp16",
    32,
    10,
    2,
    (Timing("copy", "floor", (2.0, 2.0, 2.0)), Timing("v1", "version", (3.0, 5.0, 4.0)), Timing("v2", "version", (), "needs sm_90")),
    None,
)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_timed", lambda _: TIMED)
    monkeypatch.setattr(rows, "_environment", lambda: {"gpu": "none"})


@pytest.mark.benchmark(timer=REPLAY)
@pytest.mark.usefixtures("measured")
def test_a_version_becomes_a_row_of_its_own_samples(benchmark: Any) -> None:
    rows.test_kernel("swish-fp16-8", "v1", benchmark)
    assert sorted(benchmark.stats.stats.data) == pytest.approx([3e-6, 4e-6, 5e-6])
    assert benchmark.extra_info["over_copy"] == 2.0


@pytest.mark.filterwarnings("ignore:Benchmark fixture was not used at all")
@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(("contender", "reason"), [("v2", "needs sm_90"), ("triton", "triton does not take part")])
def test_what_was_not_timed_skips_with_its_reason(contender: str, reason: str, benchmark: Any) -> None:
    with pytest.raises(pytest.skip.Exception, match=reason):
        rows.test_kernel("swish-fp16-8", contender, benchmark)


def test_every_version_of_every_timed_family_has_rows() -> None:
    ids = {str(case.id) for case in rows.CASES}
    assert "layernorm-fp16-197x768-affine-v5_hopper" in ids
    assert any(i.startswith("attention-") and i.endswith("v1_unfused") for i in ids)
