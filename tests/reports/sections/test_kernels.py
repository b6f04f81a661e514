"""The kernels section reads committed measurements, says where they are from, and claims nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reports.blocks import Prose, Table
from reports.sections import kernels
from tests.reports.builders import run

ENVIRONMENT = {"gpu": "NVIDIA H200", "utc": "2026-11-21T05:00:00Z", "commit": "abc", "command": "python -m bench.kernels.run"}


def problem(name: str, **samples: list[float]) -> dict[str, object]:
    timings = [
        {"name": key, "kind": "floor" if key == "copy" else "version", "samples_us": value, "reason": ""} for key, value in samples.items()
    ]
    return {"family": "layernorm", "problem": name, "timings": timings}


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(kernels, "MEASURED", tmp_path)
    problems = [
        problem("small", copy=[2.0, 2.0, 2.0], v1=[4.0, 4.0, 4.0], v2=[2.0, 2.0, 2.0], v3=[]),
        problem("large", copy=[10.0, 20.0, 10.0], v1=[80.0, 160.0, 80.0], v2=[10.0, 20.0, 10.0], v3=[]),
    ]
    (tmp_path / "kernels-h200.json").write_text(json.dumps({"environment": ENVIRONMENT, "problems": problems}))
    return tmp_path


def texts(block: object) -> list[list[str]]:
    assert isinstance(block, Table)
    return [[cell.text for cell in row] for row in block.rows]


def test_versions_stand_by_the_geometric_mean_of_paired_ratios_with_their_worst_problem(measured: Path) -> None:
    _, table = kernels.kernels.blocks(run())
    assert texts(table) == [
        ["layernorm", "v2", "version", "2", "1.000", "", "1.00", "small"],
        ["layernorm", "v1", "version", "2", "4.000", "", "8.00", "large"],
    ]


def test_the_label_names_machine_date_and_commit_and_says_that_it_is_not_this_run(measured: Path) -> None:
    label, _ = kernels.kernels.blocks(run())
    assert isinstance(label, Prose)
    assert "Measured on NVIDIA H200, 2026-11-21, commit abc, not in this run" in label.text


def test_only_what_is_outside_its_tolerance_is_listed_with_its_reason(measured: Path) -> None:
    row = {"kernel": "layernorm/v3", "dtype": "fp16", "input_class": "shifted", "worst": float("inf"), "weak": "cancels", "fault": ""}
    good = row | {"kernel": "layernorm/v5", "failed": 0, "worst": 0.5, "weak": ""}
    (measured / "kernel-accuracy-h200.json").write_text(json.dumps({"rows": [row | {"failed": 3}, good]}))
    *_, told, table = kernels.kernels.blocks(run())
    assert isinstance(told, Prose)
    assert "Of 2 combinations" in told.text
    assert texts(table) == [["layernorm/v3", "fp16", "shifted", "not finite", "cancels"]]


def test_a_damaged_measurement_is_named_and_the_rest_of_the_report_stands(measured: Path) -> None:
    (measured / "kernels-h200.json").write_text("{")
    (told,) = kernels.kernels.blocks(run())
    assert isinstance(told, Prose)
    assert "kernels-h200.json" in told.text
    assert "measure again" in told.text


@pytest.mark.parametrize("text", ["{", "[]", '{"rows": [{}]}'])
def test_a_damaged_accuracy_table_is_named_and_the_rest_of_the_report_stands(measured: Path, text: str) -> None:
    (measured / "kernel-accuracy-h200.json").write_text(text)
    *_, told = kernels.kernels.blocks(run())
    assert isinstance(told, Prose)
    assert told.text.startswith("kernel-accuracy-h200.json: not an accuracy table")


def test_when_all_versions_agree_with_float64_that_is_said(measured: Path) -> None:
    (measured / "kernel-accuracy-h200.json").write_text(json.dumps({"rows": [{"failed": 0}, {"failed": 0}]}))
    *_, told = kernels.kernels.blocks(run())
    assert told == Prose("All 2 combinations of version, type and input class agree with float64 within their tolerance.")


def test_nothing_committed_is_said_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "MEASURED", tmp_path)
    assert kernels.kernels.blocks(run()) == ()
    assert kernels.kernels.empty == "No kernel measurements are committed."
