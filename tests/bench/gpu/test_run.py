"""A GPU run's whole way, on the CPU: prepared, measured, two cases in turns, kept as data."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bench.gpu import keep, prepare, run
from bench.gpu.cells import Cell
from reports.case import Case
from reports.gpu_passes import GpuPasses, read
from reports.journal import append
from reports.record import Measured, Record
from tests.reports.builders import case, measured, record

RAW, FOLDED = "vit_digits none fp32 1 onnxruntime", "vit_digits fold fp32 1 onnxruntime"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> GpuPasses:
    folder = tmp_path_factory.mktemp("gpu")
    cells = folder / "cells.txt"
    cells.write_text(f"{RAW}\n{FOLDED}\n{FOLDED} against {RAW}\n{FOLDED} against vit_digits none fp16 1 onnxruntime\n")
    assert prepare.main([str(cells), "--cache", str(shared_cache), "--jobs", "1"]) == 0
    assert run.main([str(cells), "--cache", str(shared_cache), "--results", str(folder / "results"), "--cap", "0.1"]) == 0
    out, told = folder / "passes.json", ["--commit", "abc", "--command", "this test", "--whole", "fold"]
    assert keep.main([str(folder / "results" / "latest"), "--out", str(out), *told]) == 0
    return read(out)


def test_every_case_is_kept_with_its_interval_and_the_operators_of_its_plan(kept: GpuPasses) -> None:
    raw, folded = kept.cases
    assert [one.case.id for one in kept.cases] == ["vit_digits-none-fp32-b1-onnxruntime", "vit_digits-fold-fp32-b1-onnxruntime"]
    assert raw.steps == (("fp32", 0, raw.steps[0][2]),)
    for one in kept.cases:
        assert one.median_us is not None
        assert one.median_us.low <= one.median_us.value <= one.median_us.high
        assert len(one.blocks_us) == len(one.baseline_us) == sum(one.loads)
        assert one.operators["LayerNormalization"] > 0
    assert folded.over_raw is not None
    assert folded.steps[0][0] == "fold"
    assert folded.steps[0][1] > 0


def test_two_cases_that_took_turns_are_kept_and_one_that_was_not_measured_is_left_out(kept: GpuPasses) -> None:
    (duel,) = kept.duels
    assert (duel.one.passes, duel.other.passes) == (("fold",), ())
    assert duel.speedup.low <= duel.speedup.value <= duel.speedup.high


def test_the_pass_of_the_whole_is_judged_alone_and_within_it(kept: GpuPasses) -> None:
    (worth,) = kept.worth
    assert worth.name == "fold"
    assert worth.alone is not None
    assert worth.inside is not None


def test_time_that_is_spent_ends_the_run_with_the_number_of_cells_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_single", lambda session, case, timed, operators: "measured")
    cells = [Cell(case(batch=batch)) for batch in (1, 2, 3)]
    assert run.measure(None, cells, budget_s=-1.0) == 3  # type: ignore[arg-type]
    assert run.measure(None, cells, budget_s=60.0) == 0  # type: ignore[arg-type]


def planned(of: Case, outcome: Measured, plan: str) -> Record:
    return msgspec.structs.replace(record(of, outcome), digests=(("plan", plan),))


def disturbed(outcome: Measured) -> Measured:
    """The last two of six loads of the baseline took twice as long."""
    slow = tuple(tuple(2 * sample for sample in block) for block in outcome.baseline_blocks_us[8:])
    return msgspec.structs.replace(outcome, baseline_blocks_us=outcome.baseline_blocks_us[:8] + slow, loads=(2,) * 6)


def test_a_plan_timed_under_two_names_counts_by_its_steadiest_measurement(tmp_path: Path) -> None:
    raw, again, fused = case(precision="fp16"), case("fold", "fp16"), case("fuse_gelu", "fp16")
    append(tmp_path / "records.jsonl", planned(raw, disturbed(measured(raw, 500.0)), "a"))
    append(tmp_path / "records.jsonl", planned(fused, measured(fused, 250.0), "b"))
    alone = keep.kept(tmp_path, (), {"commit": "abc", "command": "x"}).cases[1].over_raw
    append(tmp_path / "records.jsonl", planned(again, measured(again, 500.0), "a"))
    with_twin = keep.kept(tmp_path, (), {"commit": "abc", "command": "x"}).cases[1].over_raw
    assert alone is not None
    assert with_twin is not None
    assert alone.half_width > 0.1
    assert with_twin.half_width < 0.01
    assert with_twin.value == pytest.approx(2, rel=0.01)


def test_a_run_without_records_is_refused_with_the_next_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "records.jsonl").touch()
    assert keep.main([str(tmp_path), "--commit", "abc", "--command", "x"]) == 2
    assert "no record in it; run python -m bench.gpu.run first" in capsys.readouterr().err
