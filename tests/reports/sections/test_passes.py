"""What a step did to the graph and what it is said to be worth."""

from __future__ import annotations

import msgspec
import pytest

from reports.blocks import Table
from reports.record import Built, Record
from reports.sections.passes import Effect, effects, passes
from tests.reports.builders import case, record, run, step, timed

RTX = "tensorrt_rtx"


def named(found: tuple[Effect, ...], name: str) -> Effect:
    return next(effect for effect in found if effect.step.name == name)


def test_a_pass_is_judged_against_the_pipeline_without_it() -> None:
    shaped = run(timed(case(), 1000.0), timed(case("fold"), 800.0), timed(case("fold+onnxslim"), 400.0))
    found = named(effects(shaped), "onnxslim")
    assert found.after == ("fold",)
    assert found.gain
    assert found.gain.value == pytest.approx(2.0, rel=0.01)


def test_a_precision_is_judged_against_fp32_with_the_same_passes() -> None:
    shaped = run(timed(case(), 1000.0), timed(case("fold"), 800.0), timed(case("fold", "fp16"), 400.0))
    found = named(effects(shaped), "fp16")
    assert found.gain
    assert found.gain.value == pytest.approx(2.0, rel=0.01)


def test_a_step_that_was_not_timed_both_with_and_without_has_no_gain() -> None:
    found = named(effects(run(timed(case(), 1000.0), timed(case("fold+onnxslim"), 400.0))), "onnxslim")
    assert found.gain is None


def test_a_step_shared_by_many_cases_is_one_row() -> None:
    shaped = run(timed(case("fold"), 800.0), timed(case("fold+onnxslim"), 700.0), timed(case("fold", "fp16"), 600.0))
    assert [effect.step.name for effect in effects(shaped)] == ["fold", "onnxslim", "fp16"]


def test_a_backend_that_cannot_be_timed_adds_no_second_row() -> None:
    cannot_run = record(case("fold", backend=RTX), Built("8.9", "no GPU"))
    (found,) = effects(run(cannot_run, timed(case("fold"), 800.0)))
    assert found.backend == "onnxruntime"


def test_without_any_timed_backend_the_step_is_shown_all_the_same() -> None:
    (found,) = effects(run(record(case("fold", backend=RTX), Built("8.9", "no GPU"))))
    assert found.gain is None


def test_fp32_that_changed_nothing_is_no_step() -> None:
    plain = msgspec.structs.replace(timed(case(), 1000.0), steps=(step("fp32", 0, 500, 500),))
    assert effects(run(plain)) == ()


def test_zero_rewrites_read_no_effect() -> None:
    idle: Record = msgspec.structs.replace(timed(case("fold"), 800.0), steps=(step("fold", 0, 500, 500),))
    (_, table) = passes.blocks(run(idle))
    assert isinstance(table, Table)
    texts = [cell.text for cell in table.rows[0]]
    assert "no effect" in texts
    assert "500 → 500" in texts
