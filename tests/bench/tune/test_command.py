"""`trtbench tune` as a user runs it: mistakes, a goal out of reach, a kill, and the line that repeats a point."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from bench.cli import main
from bench.tune.quest import Quest
from bench.tune.timing import clock
from reports.journal import load
from tests.bench.conftest import ROOT
from tests.bench.tune.made import WIDTH, network
from variants.own import opened

ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "blocks.onnx"
    onnx.save(network(2), path)
    return path


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    opened.close_all()


def words(model: Path, goal: str, *more: str) -> list[str]:
    """Two pipelines and one calibration: as little as a search can be."""
    return ["tune", "--onnx", str(model), "--max-loss", goal, "--passes", "none", "--precisions", "int8_minmax", *more]


def run(*arguments: str, timeout: float = 100) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.cli", *arguments]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=timeout, check=False)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["vit_digits", "--max-loss", "snr"], "--max-loss: 'snr' is not a figure and a limit"),
        (["vit_digits", "--max-loss", "wer 1%"], "this model has no such figure; there are: snr, cosine, error, agreement, metric (top-1)"),
        (["vit_digits", "--max-loss", "snr 30", "--backend", "nothing"], "unknown backend 'nothing'"),
        (["vit_digits", "--max-loss", "snr 30", "--backend", "tensorrt_rtx"], "choose a backend that runs here"),
        (["vit_digits", "--max-loss", "snr 30", "--budget", "soon"], "--budget: 'soon' is no time"),
        (["vit_digits", "--max-loss", "snr 30", "--batch", "0"], "'0' is not a whole number"),
        (["vit_digits", "--max-loss", "snr 30", "--batch", "eight"], "invalid int value: 'eight'"),
        (["vit_digits", "--max-loss", "snr 30", "--passes", "fuse_all"], "unknown pass 'fuse_all'"),
        (["vit_digits", "--max-loss", "snr 30", "--precisions", "int9"], "unknown precision 'int9'"),
        (["vit_digit", "--max-loss", "snr 30"], "did you mean 'vit_digits'"),
        (["vit_digits,bert", "--max-loss", "snr 30"], "name one variant"),
        (["--max-loss", "snr 30"], "name one variant"),
        (["vit_digits"], "required: --max-loss"),
        (["vit_digits", "--max-loss", "snr 30", "--quick"], "unrecognized arguments: --quick"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["tune", *arguments])
    shown = capsys.readouterr()
    assert stop.value.code == 2
    assert says in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == ""


@dataclass(frozen=True)
class Resumed:
    """A search that was killed after its first record and given again: its folder, what was there at the kill, and the second's output."""

    folder: Path
    cache: Path
    started: list[str]
    notes: bytes
    done: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def resumed(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Resumed:
    folder, cache = tmp_path_factory.mktemp("search") / "run", tmp_path_factory.mktemp("cache")
    arguments = words(model, "snr 20dB", "--output", str(folder), "--cache", str(cache))
    command = [sys.executable, "-m", "bench.cli", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    records, until = folder / "records.jsonl", time.monotonic() + 60
    while not records.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    started = [record.started for record in load(records).records]
    notes = (folder / "notes.jsonl").read_bytes()
    return Resumed(folder, cache, started, notes, run(*arguments))


def test_a_killed_search_goes_on_and_measures_nothing_twice(resumed: Resumed) -> None:
    assert resumed.done.returncode == 0, resumed.done.stderr
    records = load(resumed.folder / "records.jsonl").records
    assert resumed.started
    assert [record.started for record in records][: len(resumed.started)] == resumed.started
    assert len({record.case for record in records}) == len(records)
    assert (resumed.folder / "notes.jsonl").read_bytes().startswith(resumed.notes)
    assert (resumed.folder / "report.html").exists()


def test_another_goal_uses_what_is_known(resumed: Resumed, model: Path) -> None:
    records, notes = (resumed.folder / name for name in ("records.jsonl", "notes.jsonl"))
    before = records.read_bytes(), notes.read_bytes()
    again = run(*words(model, "snr 19dB", "--output", str(resumed.folder), "--cache", str(resumed.cache)))
    assert again.returncode == 0, again.stderr
    assert (records.read_bytes(), notes.read_bytes()) == before


def test_a_folder_of_another_search_is_refused(resumed: Resumed, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(words(model, "snr 20dB", "--batch", "2", "--output", str(resumed.folder), "--cache", str(resumed.cache)))
    assert stop.value.code == 2
    assert "holds a search of another model, machine or code; remove it or choose another --output" in capsys.readouterr().err


def test_ctrl_c_shows_the_best_so_far_and_says_how_to_go_on(
    resumed: Resumed, model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(quest: Quest, texts: Sequence[str]) -> None:
        clock(quest, texts)
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.tune.search.clock", interrupted)
    with pytest.raises(SystemExit) as stop:
        main(words(model, "snr 20dB", "--output", str(resumed.folder), "--cache", str(resumed.cache)))
    shown = capsys.readouterr()
    assert stop.value.code == 130
    assert "Choice: none " in shown.out
    assert "stopped; the same command goes on where it was" in shown.err
    assert "Traceback" not in shown.err


def test_a_budget_that_is_spent_before_anything_was_timed_says_so(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(words(model, "snr 20dB", "--budget", "0.001s", "--output", str(tmp_path / "run"), "--cache", str(tmp_path / "cache")))
    assert stop.value.code == 1
    assert "was spent before anything was timed: run the same command again" in capsys.readouterr().err


def test_a_goal_out_of_reach_says_how_near_it_came_and_ends_with_1(model: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((12, WIDTH), np.float32)
    (y,) = onnxruntime.InferenceSession(str(model)).run(None, {"x": x})
    np.savez(tmp_path / "inputs.npz", x=x)
    np.savez(tmp_path / "reference.npz", **{"/blocks.1/Add_out": y * (1 + 1e-5)})
    given = ("--inputs", str(tmp_path / "inputs.npz"), "--reference", str(tmp_path / "reference.npz"))
    done = run(*words(model, "snr 150dB", *given, "--output", str(tmp_path / "run"), "--cache", str(tmp_path / "cache")))
    assert done.returncode == 1, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("trtbench: snr 150dB: cannot be reached, ")
    assert last.endswith("fp32-b1-onnxruntime came nearest with 100.0 dB")
    assert "Traceback" not in done.stderr


def test_the_printed_line_measures_the_choice_again(resumed: Resumed, tmp_path: Path) -> None:
    found = json.loads((resumed.folder / "tune.json").read_text())
    line = next(row["command"] for row in found["front"] if row["precision"] == found["choice"]["precision"])
    assert f"  {line}" in resumed.done.stdout.splitlines()
    program, *rest = shlex.split(line)
    assert program == "pytest"
    # Only the line's own case: bench/ holds benchmarks of layer tables and kernels beside it.
    more = ["-k", "engine", "-p", "no:cacheprovider", "--results", str(tmp_path)]
    repeated = subprocess.run(
        [sys.executable, "-m", "pytest", *rest, *more],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "1 passed" in repeated.stdout, repeated.stdout
    (record,) = load(tmp_path / "latest" / "records.jsonl").records
    graphs = {record.case: dict(record.digests)["graph"] for record in load(resumed.folder / "records.jsonl").records}
    assert dict(record.digests)["graph"] == graphs[record.case]
