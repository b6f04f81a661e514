"""The section of passes on a GPU reads a committed measurement, says where it is from, and claims nothing else."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from reports.blocks import Prose, Table
from reports.gpu_passes import Duel, GpuCase, GpuPasses, Worth, read
from reports.sections import gpu_passes
from reports.statistics import Estimate, median_interval
from tests.reports.builders import case, run

RAW, FUSED = case(precision="fp16"), case("fuse_gelu", "fp16")
WIDE = Estimate(2.0, 1.9, 2.1)
GPU_CASES = (
    GpuCase(RAW, "measured", graph="no CUDA graph: shape nodes", on_cpu="3 nodes on the CPU: 3 Shape",
            operators={"MatMul": 3, "Add": 1}, median_us=Estimate(1500, 1490, 1510), over_raw=Estimate(1.0, 0.99, 1.01), snr_db=50.4),
    GpuCase(FUSED, "measured", graph="captured", operators={"MatMul": 3}, median_us=Estimate(750, 740, 760), over_raw=WIDE, snr_db=49.0),
    GpuCase(case("fold", "fp16"), "rejected", reason="Type Error: bound to different types"),
)  # fmt: skip
FOUND = GpuPasses(
    {"GPU": "NVIDIA H200, 580.1, 9.0, GPU-1", "utc": "2026-11-21T16:00:00Z", "commit": "0123456789abcdef", "command": "x"},
    GPU_CASES,
    (Duel(FUSED, RAW, WIDE, Estimate(750, 740, 760), Estimate(1500, 1490, 1510)),),
    (Worth(FUSED, "fuse_gelu", WIDE, None),),
)


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(gpu_passes, "MEASURED", tmp_path)
    path = tmp_path / gpu_passes.FILE
    path.write_bytes(msgspec.json.encode(FOUND))
    return path


def tables() -> dict[str, Table]:
    return {block.title: block for block in gpu_passes.gpu_passes.blocks(run()) if isinstance(block, Table)}


def texts(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


def test_it_names_machine_date_and_commit_and_says_what_was_timed_and_that_it_is_not_this_run(measured: Path) -> None:
    told = gpu_passes.gpu_passes.blocks(run())[0]
    assert isinstance(told, Prose)
    assert "Measured on NVIDIA H200, 2026-11-21, commit 0123456789ab, not in this run" in told.text
    assert "one synchronous run, inputs and outputs on the GPU" in told.text


def test_a_case_shows_how_it_ran_its_latency_and_its_speedup_and_a_refusal_its_reason(measured: Path) -> None:
    raw, fused, refused = texts(tables()["Cases"])
    assert raw[3:9] == ["none", "launches", "4", "1.500", "1.000x", "0.990 – 1.010"]
    assert fused[3:9] == ["fuse_gelu", "CUDA graph", "3", "0.750", "2.000x", "1.900 – 2.100"]
    assert refused[4:9] == ["", "–", "–", "–", "–"]
    assert refused[-1] == "Type Error: bound to different types"


def test_why_a_plan_is_not_captured_and_what_is_left_to_the_cpu_is_a_hover_away(measured: Path) -> None:
    raw, fused, _ = tables()["Cases"].rows
    assert raw[4].hint == "no CUDA graph: shape nodes; 3 nodes on the CPU: 3 Shape"
    assert fused[4].hint == ""


def test_duels_and_the_worth_of_passes_have_tables_of_their_own(measured: Path) -> None:
    assert texts(tables()["Taking turns"]) == [[FUSED.id, "0.750", RAW.id, "1.500", "2.000x", "1.900 – 2.100"]]
    assert texts(tables()["What each pass is worth"])[0][3:] == ["fuse_gelu", "2.000x", "1.900 – 2.100", "–", "–"]


@pytest.mark.parametrize("text", ["{", "[]", '{"environment": {}, "cases": []}'])
def test_a_damaged_measurement_is_named_and_the_rest_of_the_report_stands(measured: Path, text: str) -> None:
    measured.write_text(text)
    (told,) = gpu_passes.gpu_passes.blocks(run())
    assert isinstance(told, Prose)
    assert told.text.startswith("passes-h200.json: ")
    assert "measure again" in told.text


def test_nothing_committed_is_said_in_one_sentence(measured: Path) -> None:
    measured.unlink()
    assert gpu_passes.gpu_passes.blocks(run()) == ()
    assert gpu_passes.gpu_passes.empty.endswith(".")


COMMITTED = read(Path(gpu_passes.__file__).parent.parent.parent / "docs" / "measured" / gpu_passes.FILE)


def test_the_committed_intervals_follow_from_the_committed_blocks() -> None:
    for one in COMMITTED.cases:
        if one.median_us:
            found = median_interval(one.blocks_us, one.loads)
            assert (one.median_us.value, one.median_us.low) == pytest.approx((found.value, found.low), rel=1e-5)


def test_what_the_page_in_docs_says_of_the_target_holds_in_the_data() -> None:
    captured = {one.case.variant for one in COMMITTED.cases if one.captured and one.case.batch == 1}
    assert captured == {"vit:base", "bert:base"}
    faster = {duel.one.variant: duel.speedup.low for duel in COMMITTED.duels if duel.one.batch == 1}
    assert all(low >= 2 for low in faster.values())
