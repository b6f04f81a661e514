"""`trtbench tune` as a user runs it: mistakes, a goal out of reach, a kill, and the line that repeats a point."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from bench.cli import main
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


def test_a_killed_search_goes_on_and_measures_nothing_twice(model: Path, tmp_path: Path) -> None:
    out, cache = tmp_path / "run", tmp_path / "cache"
    arguments = words(model, "snr 20dB", "--output", str(out), "--cache", str(cache))
    command = [sys.executable, "-m", "bench.cli", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    records = out / "records.jsonl"
    until = time.monotonic() + 60
    while not records.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = [record.started for record in load(records).records]
    notes = (out / "notes.jsonl").read_bytes()
    assert before

    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    cases = [record.case for record in load(records).records]
    assert [record.started for record in load(records).records][: len(before)] == before
    assert len(set(cases)) == len(cases)
    assert (out / "notes.jsonl").read_bytes().startswith(notes)
    assert (out / "report.html").exists()

    lines, stamp = len(records.read_text().splitlines()), (out / "notes.jsonl").read_bytes()
    again = run(*words(model, "snr 25dB", "--output", str(out), "--cache", str(cache)))
    assert again.returncode in (0, 1)
    assert len(records.read_text().splitlines()) <= lines + 2, "another goal uses what is known"
    assert (out / "notes.jsonl").read_bytes().startswith(stamp)


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


def test_the_printed_line_measures_the_choice_again(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = run(*words(model, "snr 20dB", "--output", str(out), "--cache", str(tmp_path / "cache")))
    assert done.returncode == 0, done.stderr
    found = json.loads((out / "tune.json").read_text())
    line = next(row["command"] for row in found["front"] if row["precision"] == found["choice"]["precision"])
    assert f"  {line}" in done.stdout.splitlines()
    program, *rest = shlex.split(line)
    assert program == "pytest"
    repeated = subprocess.run(
        [sys.executable, "-m", "pytest", *rest, "-p", "no:cacheprovider", "--results", str(tmp_path / "again")],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "1 passed" in repeated.stdout, repeated.stdout
    (record,) = load(tmp_path / "again" / "latest" / "records.jsonl").records
    graphs = {record.case.precision: dict(record.digests)["graph"] for record in load(out / "records.jsonl").records}
    assert dict(record.digests)["graph"] == graphs[record.case.precision]
