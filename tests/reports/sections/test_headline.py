"""The headline claims the fastest accurate case, and no more than the samples allow."""

from __future__ import annotations

from reports.blocks import Tiles
from reports.record import Inaccurate, Record
from reports.sections.headline import best_of_each_place, headline, surest
from tests.reports.builders import Clock, case, measured, one_of_every_outcome, record, run, timed


def tile(name: str, *records: Record) -> str:
    (tiles, *_) = headline.blocks(run(*records))
    assert isinstance(tiles, Tiles)
    return next(f"{t.value} | {t.detail}" for t in tiles.tiles if t.label == name)


def test_cases_are_counted_by_outcome() -> None:
    said = tile("Cases", *one_of_every_outcome())
    assert said == "9 | 3 measured, 1 built, 1 inaccurate, 1 rejected, 1 unsupported, 2 failed"


def test_an_inaccurate_case_is_never_the_fastest() -> None:
    shaped = run(timed(case(), 1000.0), timed(case("fold"), 900.0), record(case("onnxsim"), Inaccurate("9 dB")))
    best = surest(shaped, shaped.entries[:2])
    assert best is shaped.entries[1]
    assert best is best_of_each_place(shaped)[0].entry


def test_where_nothing_is_surely_faster_nothing_is_claimed() -> None:
    records = (timed(case(), 1000.0), timed(case("fold"), 1000.0), timed(case("onnxslim"), 1200.0))
    shaped = run(*records)
    assert surest(shaped, shaped.timed) is None
    assert best_of_each_place(shaped)[0].entry.is_plain
    assert "no step was seen to be faster" in tile("Fastest accurate case", *records)


def test_a_sure_small_gain_comes_before_a_larger_one_that_may_be_smaller() -> None:
    unsure = record(case("onnxsim"), measured(case("onnxsim"), 900.0, clock=Clock(seed=4, spread=0.25)))
    shaped = run(timed(case(), 1000.0), timed(case("fold"), 950.0), unsure)
    sure, larger = shaped.timed[1:]
    assert sure.timing is not None
    assert larger.timing is not None
    assert larger.timing.speedup.value > sure.timing.speedup.value
    assert 1.002 < larger.timing.speedup.low < sure.timing.speedup.low
    assert surest(shaped, shaped.timed) is sure


def test_the_noise_floor_names_what_is_not_known() -> None:
    assert tile("Noise floor", timed(case("fold"), 900.0)).startswith("not measured")


def test_a_noisy_machine_is_said_to_be_one() -> None:
    assert "too busy to trust" in tile("Noise floor", timed(case(), 1100.0))
    assert "too busy" not in tile("Noise floor", timed(case(), 1000.0))


def test_every_place_has_its_fastest_case() -> None:
    shaped = run(timed(case("fold"), 900.0), timed(case("fold", batch=8), 900.0), timed(case("onnxsim", batch=8), 800.0))
    assert [best.entry.case.id for best in best_of_each_place(shaped)] == [
        "vit_digits-fold-fp32-b1-onnxruntime",
        "vit_digits-onnxsim-fp32-b8-onnxruntime",
    ]
