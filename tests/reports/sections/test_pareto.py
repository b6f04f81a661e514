"""Who is on the frontier, and what is drawn."""

from __future__ import annotations

import msgspec
import pytest

from reports.blocks import Chart, Chooser
from reports.record import Inaccurate, Record
from reports.sections.pareto import HIGHEST_DB, frontier, pareto, points
from tests.reports.builders import accuracy, case, record, run, timed, unlabelled


def with_snr(of: Record, snr_db: float) -> Record:
    return msgspec.structs.replace(of, accuracy=accuracy(snr_db))


def chart(*records: Record) -> Chart:
    chooser = next(block for block in pareto.blocks(run(*records)) if isinstance(block, Chooser))
    (block,) = chooser.options[0].blocks
    assert isinstance(block, Chart)
    return block


def test_only_what_nothing_else_matches_or_beats_on_both_is_on_the_frontier() -> None:
    fast_rough, slow_true, beaten, equal_but_slower = (1.0, 20.0), (3.0, 60.0), (4.0, 50.0), (2.0, 20.0)
    assert frontier([slow_true, beaten, fast_rough, equal_but_slower]) == (2, 0)


def test_of_two_equally_fast_the_truer_is_on_the_frontier() -> None:
    assert frontier([(1.0, 20.0), (1.0, 30.0)]) == (1,)


def test_nothing_has_no_frontier() -> None:
    assert frontier([]) == ()


def test_latency_per_input_is_divided_by_the_batch() -> None:
    (whole,) = points(run(timed(case(batch=8), 800.0)).entries, per_input=False)
    (each,) = points(run(timed(case(batch=8), 800.0)).entries, per_input=True)
    assert each.latency_us.value == pytest.approx(whole.latency_us.value / 8)
    assert each.latency_us.high == pytest.approx(whole.latency_us.high / 8)


def test_an_inaccurate_case_is_not_a_point() -> None:
    assert points(run(record(case(), Inaccurate("9 dB"))).entries, per_input=False) == ()


def test_each_precision_is_a_trace_of_its_own_in_both_panels() -> None:
    drawn = chart(timed(case(), 1000.0), timed(case("fold"), 900.0), timed(case("", "fp16"), 700.0))
    clouds = [(trace.name, trace.panel, len(trace.x)) for trace in drawn.traces if trace.shape == "points"]
    assert clouds == [("fp32", 0, 2), ("fp16", 0, 1), ("fp32", 1, 2), ("fp16", 1, 1)]


def test_equal_outputs_are_drawn_at_the_top_and_labelled_equal() -> None:
    drawn = chart(with_snr(timed(case(), 1000.0), 300.0), with_snr(timed(case("", "fp16"), 900.0), 60.0))
    assert max(y for trace in drawn.traces for y in trace.y) == HIGHEST_DB
    assert drawn.y[0].ticks[-1] == (HIGHEST_DB, "equal")


def test_the_axis_is_logarithmic_only_where_latencies_are_far_apart() -> None:
    assert not chart(timed(case(), 1000.0), timed(case("fold"), 500.0)).x.log
    assert chart(timed(case(), 1000.0), timed(case("fold"), 100.0)).x.log


def test_with_several_batches_there_is_a_picture_of_all_per_input() -> None:
    blocks = pareto.blocks(run(timed(case(), 1000.0), timed(case(batch=8), 4000.0)))
    chooser = next(block for block in blocks if isinstance(block, Chooser))
    assert [option.names[2] for option in chooser.options] == ["batch 1", "batch 8", "all, per input"]


def test_without_labels_the_agreement_stands_in_the_place_of_the_score() -> None:
    seeded = msgspec.structs.replace(timed(case(), 1000.0), accuracy=unlabelled(0.97))
    assert points(run(seeded).entries, per_input=False)[0].quality == 0.97
    assert chart(seeded).y[1].title == "top-5 agreement"
