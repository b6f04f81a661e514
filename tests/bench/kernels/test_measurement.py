"""From samples to JSON to the report's rows, without a GPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.kernels.measurement import Clocks, Run, Timed, Timing, save
from bench.kernels.run import line, main, summary
from bench.kernels.shapes import contenders, rows
from bench.kernels.stats import geometric_mean, median_interval, ratio_interval
from plugins import device
from plugins.discovery import families
from reports.kernels import BadMeasurement, geometric_means, load_measurements, load_provenance

FACTS = {"gpu": "NVIDIA H200", "utc": "2026-11-21T05:26:42Z", "commit": "abc", "command": "python -m bench.kernels.run"}


def timed(*timings: Timing) -> Timed:
    copy = Timing("copy", "floor", (2.0, 2.2, 2.0, 2.2))
    clocks = Clocks(1380, 1980, 3201, 53, 690.0, ("SwPowerCap",))
    return Timed("layernorm", "fp16-8x8", "a test", {"rows": 8, "cols": 8}, "fp16", 256, 100, 3, (copy, *timings), clocks)


def test_a_run_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "kernels.json"
    absent = Timing("v2", "version", (), "cannot take it")
    save(Run(FACTS, {"blocks": 4.0}, (timed(Timing("v1", "version", (3.0, 3.3, 3.0, 3.3)), absent),)), path)
    copy, first, second = load_measurements(path)
    assert copy.over_copy is not None
    assert copy.over_copy.median_us == 1.0
    assert first.over_copy is not None
    assert first.over_copy.median_us == pytest.approx(1.5)
    assert first.throttle == ("SwPowerCap",)
    assert (second.time, second.reason) == (None, "cannot take it")
    assert load_provenance(path).label == "NVIDIA H200, 2026-11-21, commit abc"


def test_ratios_within_blocks_cancel_the_drift_that_medians_keep() -> None:
    drifting = [1.0, 2.0, 3.0, 4.0]
    assert list(ratio_interval([1.1 * s for s in drifting], drifting)) == pytest.approx([1.1, 1.1, 1.1])


def test_the_interval_holds_the_median_and_narrows_with_samples() -> None:
    few, many = median_interval([1, 2, 3, 4, 5]), median_interval([1, 2, 3, 4, 5] * 50)
    assert few.low_us <= few.median_us == 3 <= few.high_us
    assert many.relative_width < few.relative_width


def test_geometric_means_agree_between_runner_and_report(tmp_path: Path) -> None:
    one, two = (timed(Timing("v1", "version", (s, s, s, s))) for s in (2.0, 8.0))
    save(Run(FACTS, {}, (one, two)), tmp_path / "k.json")
    means = geometric_means(load_measurements(tmp_path / "k.json"))
    assert means["layernorm", "v1"] == pytest.approx(summary((one, two))["layernorm", "v1"], rel=0.02)
    assert geometric_mean([1.0, 4.0]) == 2.0


def test_a_line_gives_the_copy_and_the_reasons() -> None:
    text = line(timed(Timing("v1", "version", (4.2,) * 4), Timing("v2", "version", (), "does not compile")))
    assert "copy 2.10 us" in text
    assert "v1 2.000" in text
    assert "v2: does not compile" in text


@pytest.mark.parametrize(("text", "said"), [("{", "k.json: "), ("{}", "no 'environment' in it")])
def test_a_broken_file_is_one_sentence_with_the_next_action(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "k.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadMeasurement, match=r"measure again: python -m bench\.kernels\.run") as error:
        load_measurements(path)
    assert said in str(error.value)


@pytest.mark.skipif(device.unavailable() is None, reason="this machine has a GPU")
def test_without_a_gpu_the_runner_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err.strip() == device.unavailable()


def test_every_timed_problem_is_declared_by_its_family() -> None:
    for name, family in families().items():
        for row in rows(name):
            assert set(row.problem.dims) == set(family.dims)
            assert set(row.problem.options) == set(family.options)


def test_the_baseline_shapes_are_timed_in_every_dtype() -> None:
    timed_ids = {row.problem.id for row in rows("layernorm")}
    assert {f"{d}-197x768-affine" for d in ("fp32", "fp16", "bf16")} <= timed_ids
    assert len(timed_ids) == 57


def test_the_copy_comes_first_and_peers_last() -> None:
    assert contenders("swish", ["v1", "v2"]) == ["copy", "v1", "v2", "eager", "compile", "triton"]


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[3] / "docs/measured").glob("kernels-*.json")), ids=lambda p: p.name)
def test_a_committed_measurement_can_be_read_and_repeated(path: Path) -> None:
    assert load_measurements(path)
    assert "bench.kernels" in json.loads(path.read_text(encoding="utf-8"))["environment"]["command"]
