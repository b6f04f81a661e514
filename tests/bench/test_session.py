"""Whole runs, as a user starts them: what they leave behind, also when they are cut off."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reports.journal import load
from reports.record import Built, Measured
from tests.bench.conftest import ROOT, command, run_bench

ONE = ("--passes", "none", "--precisions", "fp32", "--batches", "8", "--backends", "onnxruntime")
MANY = ("--passes", "none", "--precisions", "fp32", "--batches", "1,2,3,4,5,6,7,8", "--backends", "onnxruntime")


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> tuple[Path, str, dict[str, object]]:
    """Results folder, terminal output and pytest-benchmark's JSON of one small run over both backends."""
    results = tmp_path_factory.mktemp("results")
    saved = results / "benchmark.json"
    words = ("--passes", "none,fuse_layernorm", "--precisions", "fp32", "--batches", "8")
    done = run_bench(*words, f"--benchmark-json={saved}", results=results, cache=shared_cache)
    assert done.returncode == 0, done.stdout + done.stderr
    return results, done.stdout, json.loads(saved.read_text())


def test_a_file_that_cannot_be_collected_is_named_without_a_crash_of_ours(tmp_path: Path) -> None:
    (tmp_path / "test_broken.py").write_text("import nothing_of_that_name")
    words = [sys.executable, "-m", "pytest", "-p", "bench.plugin", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "No module named 'nothing_of_that_name'" in done.stdout
    assert "INTERNALERROR" not in done.stdout + done.stderr
    assert done.returncode == 2


def test_a_run_leaves_records_and_a_report_and_names_them_last(whole_run: tuple[Path, str, dict[str, object]]) -> None:
    results, output, _ = whole_run
    records = load(results / "latest" / "records.jsonl").records
    assert [record.case.id for record in records] == [
        "vit_digits-none-fp32-b8-onnxruntime",
        "vit_digits-fuse_layernorm-fp32-b8-onnxruntime",
        "vit_digits-none-fp32-b8-tensorrt_rtx",
        "vit_digits-fuse_layernorm-fp32-b8-tensorrt_rtx",
    ]
    assert [type(record.outcome) for record in records] == [Measured, Measured, Built, Built]
    page = (results / "latest" / "report.html").read_text()
    assert all(record.case.id in page for record in records)
    assert f"report    {(results / 'latest').resolve()}/report.html" in output.replace(
        str(results / "latest"), str((results / "latest").resolve())
    )


def test_the_terminal_shows_the_figures_of_each_case(whole_run: tuple[Path, str, dict[str, object]]) -> None:
    _, output, _ = whole_run
    line = next(line for line in output.splitlines() if "fuse_layernorm-fp32-b8-onnxruntime]" in line)
    assert " ms  x" in line
    assert "SNR" in line
    assert any("accepted for compute capability 8.9: built in" in line for line in output.splitlines())


def test_pytest_benchmark_holds_our_own_samples_and_what_they_belong_to(whole_run: tuple[Path, str, dict[str, object]]) -> None:
    results, _, saved = whole_run
    records = {record.case.id: record for record in load(results / "latest" / "records.jsonl").records}
    assert isinstance(saved["benchmarks"], list)
    rows = [row for row in saved["benchmarks"] if row["name"].startswith("test_engine")]
    assert len(rows) == 2
    for row in rows:
        record = records[row["extra_info"]["id"]]
        assert isinstance(record.outcome, Measured)
        assert [sample * 1e6 for sample in row["stats"]["data"]] == pytest.approx(record.outcome.samples_us)
        assert row["extra_info"]["environment"]["key"] == record.environment.key
        assert row["extra_info"]["accuracy"]["score"] == record.accuracy.score if record.accuracy else False
        assert row["group"] == "vit_digits batch 8 onnxruntime"


def test_a_second_run_says_that_all_came_from_the_cache(
    whole_run: tuple[Path, str, dict[str, object]], tmp_path: Path, shared_cache: Path
) -> None:
    done = run_bench(*ONE, results=tmp_path, cache=shared_cache)
    artefacts = next(line for line in done.stdout.splitlines() if line.startswith("artefacts"))
    assert "build 0 made" in artefacts
    assert "export 0 made" in artefacts


def test_k_selects_cases_by_their_readable_id(tmp_path: Path, shared_cache: Path) -> None:
    done = run_bench("--collect-only", "-q", "-k", "fold+fuse_layernorm-int8_entropy-b8-onnxruntime", results=tmp_path, cache=shared_cache)
    chosen = re.findall(r"test_engine\[(.*)\]", done.stdout)
    assert chosen == ["vit_digits-fold+fuse_layernorm-int8_entropy-b8-onnxruntime"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--variants", "vit_digit"), "ERROR: unknown variant 'vit_digit': did you mean 'vit_digits'? known: "),
        (("--passes", "fold+onnxslm"), "ERROR: unknown pass 'onnxslm': did you mean 'onnxslim'? known: "),
        (("--precisions", "int8"), "ERROR: unknown precision 'int8': "),
        (("--batches", "1,x"), "ERROR: --batches: 'x' is not a whole number"),
        (("--preset", "ful"), "ERROR: unknown preset 'ful': did you mean 'full'? known: "),
    ],
)
def test_a_misspelt_option_ends_the_run_with_one_sentence(tmp_path: Path, words: tuple[str, ...], expected: str) -> None:
    done = run_bench(*words, results=tmp_path, cache=tmp_path)
    assert done.returncode == 4
    assert expected in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize("option", ["results", "cache"])
def test_a_folder_that_cannot_be_written_is_named_with_its_option(tmp_path: Path, option: str) -> None:
    (tmp_path / "file").write_text("")
    folders = {"results": tmp_path / "results", "cache": tmp_path / "cache", option: tmp_path / "file" / "below"}
    done = run_bench(*ONE, results=folders["results"], cache=folders["cache"])
    assert done.returncode == 4
    assert f"{folders[option]}: cannot be written" in done.stdout
    assert f"--{option}" in done.stdout
    assert "Traceback" not in done.stderr + done.stdout


def _start(*words: str, results: Path, cache: Path) -> subprocess.Popen[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    # Who starts the tests in the background has SIGINT ignored, and a child inherits that.
    listening = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        command(*words, results=results, cache=cache), cwd=ROOT, env=environment, text=True, **pipes, **listening
    )


def _wait_for_records(results: Path, count: int) -> Path:
    end = time.monotonic() + 100
    while time.monotonic() < end:
        for file in results.glob("2*/records.jsonl"):
            if file.read_bytes().count(b"\n") >= count:
                return file
        time.sleep(0.02)
    raise AssertionError(f"no {count} records within 100 s")


def test_kill_9_loses_at_most_the_running_case_and_the_report_renders_from_the_rest(tmp_path: Path, shared_cache: Path) -> None:
    run = _start(*MANY, results=tmp_path, cache=shared_cache)
    records = _wait_for_records(tmp_path, 2)
    run.kill()
    run.communicate()
    journal = load(records)
    assert len(journal.records) >= 2
    done = subprocess.run(
        ["trtbench", "report", str(records.parent)], cwd=ROOT, env=_with_scripts(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert journal.records[0].case.id in (records.parent / "report.html").read_text()


def _with_scripts() -> dict[str, str]:
    import sys

    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def test_ctrl_c_keeps_what_was_recorded_and_still_writes_the_report(tmp_path: Path, shared_cache: Path) -> None:
    run = _start(*MANY, results=tmp_path, cache=shared_cache)
    records = _wait_for_records(tmp_path, 1)
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 2
    assert load(records).warnings == ()
    assert (records.parent / "report.html").exists()
    assert f"report    {records.parent}/report.html" in output


def test_a_second_run_at_once_is_refused_and_the_first_is_not_disturbed(tmp_path: Path, shared_cache: Path) -> None:
    first = _start(*ONE, results=tmp_path, cache=shared_cache)
    end = time.monotonic() + 60
    while not list(tmp_path.glob("*-quick")) and time.monotonic() < end:
        time.sleep(0.02)
    second = run_bench(*ONE, results=tmp_path, cache=shared_cache)
    first.communicate(timeout=100)
    assert second.returncode == 4
    assert f"another run is measuring (process {first.pid}, since " in second.stdout
    assert first.returncode == 0
    assert len(list(tmp_path.glob("2*/records.jsonl"))) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 160 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", str(folder)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_ends_the_run_and_loses_no_record(small_disk: Path, shared_cache: Path) -> None:
    done = run_bench(*MANY, results=small_disk, cache=shared_cache)
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    said = next(line for line in done.stdout.splitlines() if "could not be written (No space left on device)" in line)
    assert "choose another folder with --results" in said
    rescued = Path(re.findall(r"The record is in (\S+) instead", said)[0])
    (records,) = small_disk.glob("2*/records.jsonl")
    kept = load(records)
    assert kept.warnings == ()
    assert [record.case.batch for record in (*kept.records, *load(rescued).records)] == list(range(1, len(kept.records) + 2))
    rescued.unlink()
