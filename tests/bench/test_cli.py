"""The trtbench command as a user types it."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench import cli
from reports.journal import append
from tests.bench.conftest import ROOT
from tests.reports.builders import case, timed

RECORD = timed(case(), 800.0)


def trtbench(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "bench.cli", *words], cwd=ROOT, capture_output=True, text=True, check=False)


def test_help_shows_the_commands_and_examples() -> None:
    done = trtbench("--help")
    assert done.returncode == 0
    for word in ("doctor", "plan", "report", "examples:", "pytest bench/ --benchmark-only"):
        assert word in done.stdout


def test_doctor_lists_backends_passes_and_what_is_missing_with_the_remedy() -> None:
    done = trtbench("doctor")
    assert done.returncode == 0
    assert "backend onnxruntime" in done.stdout
    assert "graph passes fold" in done.stdout
    for line, following in zip(done.stdout.splitlines(), done.stdout.splitlines()[1:], strict=False):
        if line.startswith(("absent", "missing")):
            assert "-> " in following


def test_doctor_fails_when_something_needed_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("bench.doctor.find_spec", lambda name: None if name == "torch" else find_spec(name))
    with pytest.raises(SystemExit) as stop:
        cli.main(["doctor"])
    assert stop.value.code == 1
    assert "torch is not installed: pip install torch==2.13.0" in capsys.readouterr().out


def test_plan_lists_what_runs_what_does_not_and_why() -> None:
    done = trtbench("plan", "--passes", "none", "--precisions", "fp32")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert "run       vit_digits-none-fp32-b1-onnxruntime" in lines
    left_out = next(line for line in lines if line.startswith("left out"))
    assert left_out.startswith("left out  vit_digits-none-fp32-b1-tensorrt_rtx: whether TensorRT accepts")
    assert lines[-1] == "3 to run, 0 that cannot run here, 1 left out"


def test_plan_says_what_cannot_run_here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("bench.backends.tensorrt_rtx.find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        cli.main(["plan", "--passes", "none", "--precisions", "fp32", "--batches", "8"])
    out = capsys.readouterr().out
    assert "cannot    vit_digits-none-fp32-b8-tensorrt_rtx: tensorrt_rtx is not installed: pip install tensorrt-rtx" in out
    assert "1 to run, 1 that cannot run here, 0 left out" in out


def test_plan_holds_ten_thousand_cases() -> None:
    done = trtbench("plan", "--batches", ",".join(str(batch) for batch in range(1, 421)))
    assert done.stdout.splitlines()[-1] == "10080 to run, 0 that cannot run here, 0 left out"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("plan", "--passes", "foldd"), "trtbench: unknown pass 'foldd': did you mean 'fold'?"),
        (("plan", "--batches", "many"), "trtbench: --batches: 'many' is not a whole number"),
        (("report", "nowhere"), "trtbench: nowhere/records.jsonl: cannot be read (No such file or directory); run: make bench"),
    ],
)
def test_bad_input_is_one_sentence_and_a_status_of_its_own(words: tuple[str, ...], expected: str) -> None:
    done = trtbench(*words)
    assert done.returncode == 2
    assert done.stderr.startswith(expected)
    assert done.stderr.count("\n") == 1


def test_report_renders_records_again_and_warns_of_a_torn_line(tmp_path: Path) -> None:
    records = tmp_path / "records.jsonl"
    append(records, RECORD)
    with records.open("a") as file:
        file.write('{"run":"torn')
    done = trtbench("report", str(tmp_path), "--output", str(tmp_path / "page.html"))
    assert done.returncode == 0
    assert done.stdout.strip() == str(tmp_path / "page.html")
    assert "records.jsonl:2: the last line is torn" in done.stderr
    assert RECORD.case.id in (tmp_path / "page.html").read_text()


def test_a_report_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    append(tmp_path / "records.jsonl", RECORD)
    done = trtbench("report", str(tmp_path), "--output", str(tmp_path / "records.jsonl" / "page.html"))
    assert done.returncode == 2
    assert str(tmp_path / "records.jsonl") in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_stops_early_is_no_error() -> None:
    words = f"{sys.executable} -m bench.cli plan --batches {','.join(str(batch) for batch in range(1, 421))} | head -1"
    done = subprocess.run(["bash", "-c", words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr == ""
