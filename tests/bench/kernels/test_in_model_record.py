"""Tables of LayerNorm versions inside a model."""

from __future__ import annotations

import pytest

from bench.kernels.in_model_record import Cell, Contender, compare, lines, markdown


def cell(**samples: list[float]) -> Cell:
    timed = tuple(Contender(name, tuple(values), 1e-3) for name, values in samples.items())
    refused = Contender("v9", (), float("nan"), "v9 cannot take 197x768: at most 100 columns")
    return Cell("ViT-B/16", 8, "fp16", 25, 1576, (*timed, refused), None)


DRIFTING = [100.0, 110.0, 120.0, 130.0]


def test_the_share_saved_is_measured_against_a_model_without_layernorm() -> None:
    got = {x.name: x for x in compare(cell(torch=[100.0] * 4, removed=[80.0] * 4, v5=[90.0] * 4))}
    assert got["v5"].saved == pytest.approx(0.5)
    assert got["removed"].saved == pytest.approx(1)
    assert got["torch"].saved == 0


def test_a_drifting_clock_cancels_in_the_ratio() -> None:
    half = [x / 2 for x in DRIFTING]
    got = {x.name: x for x in compare(cell(torch=DRIFTING, removed=half, v5=[x * 0.9 for x in DRIFTING]))}
    assert (got["v5"].ratio_low, got["v5"].ratio_high) == pytest.approx((0.9, 0.9))


def test_a_refused_version_keeps_its_reason_and_has_no_number() -> None:
    one = cell(torch=[100.0] * 4, removed=[80.0] * 4)
    assert lines(one)[-1].endswith("at most 100 columns")
    assert "| not timed |" in markdown([one], {"gpu": "NVIDIA H200"})


def test_the_table_names_its_machine_and_shows_ratios_with_intervals() -> None:
    text = markdown([cell(torch=[100.0] * 4, removed=[80.0] * 4, v5=[90.0] * 4)], {"gpu": "NVIDIA H200", "commit": "abc"})
    assert "NVIDIA H200" in text
    assert "commit abc" in text
    assert "90.0, -10.00% [-10.00%, -10.00%]" in text
