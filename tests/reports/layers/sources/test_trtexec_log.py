"""Console logs of 7.x to 11.x: the summary by label, the table in both orders of columns, the verdict."""

from __future__ import annotations

import pytest

from common.errors import UserError
from reports.layers.found import Found
from reports.layers.sources.trtexec_log import parse, version
from tests.reports.layers import files


def read(*bodies: str, digits: str = "101601", verdict: str = "PASSED") -> Found:
    return parse(files.log(digits, *bodies, verdict=verdict).encode())


@pytest.mark.parametrize("summary", [files.SUMMARY_7, files.SUMMARY_8, files.SUMMARY_10])
def test_the_median_of_the_summary_is_the_latency_in_every_generation(summary: str) -> None:
    found = read(summary)
    assert (found.latency_us, found.enqueue_us) == (1250, 25)
    assert found.notes[0].startswith("the log holds no profile table: run trtexec with --dumpProfile")


@pytest.mark.parametrize(
    ("table", "median", "mean"), [(files.TABLE_FIRST, None, 500), (files.TABLE_FIRST_MEDIAN, 490, 500), (files.TABLE_LAST, 490, 500)]
)
def test_the_table_is_read_with_the_layer_first_or_last(table: str, median: float | None, mean: float) -> None:
    found = read(table)
    assert [time.name for time in found.times] == ["a: b [c]", "relu", "fc"]
    assert (found.times[0].mean_us, found.times[0].median_us, found.runs) == (mean, median, 10)
    assert sum(time.total_us or 0 for time in found.times) == pytest.approx(10_000)


def test_a_layer_that_is_called_total_does_not_end_the_table_early() -> None:
    table = files.TABLE_LAST.replace("relu", "Total of all")
    assert [time.name for time in read(table).times] == ["a: b [c]", "Total of all", "fc"]


def test_a_layer_whose_name_looks_like_a_number_is_a_layer() -> None:
    assert [time.name for time in read(files.TABLE_LAST.replace("relu", "12 50.0")).times] == ["a: b [c]", "12 50.0", "fc"]


@pytest.mark.parametrize("number", ["nan", "-nan"])
def test_a_share_that_is_no_number_does_not_lose_its_layer(number: str) -> None:
    assert len(read(files.TABLE_LAST.replace("12.5   relu", f"{number}   relu")).times) == 3


def test_auxiliary_streams_are_told() -> None:
    assert read(files.TABLE_LAST, files.STREAMS).notes == (
        "the engine uses auxiliary streams: layers may run in parallel, so their sum may exceed the latency",
    )


def test_an_elided_trace_is_passed_over() -> None:
    found = read("Average on 10 runs - GPU latency: 0.1 ms", "... Omitting 6144 lines", files.SUMMARY_10, files.TABLE_LAST)
    assert (len(found.times), found.latency_us) == (3, 1250)


def test_layers_that_the_log_describes_are_read_with_it() -> None:
    line = (
        "Name: fc, LayerType: gemm, Inputs: [ { Name: a, b, Dimensions: [2,8], Format/Datatype: Half }], "
        "Outputs: [ { Name: y, Location: Device, Dimensions: [2,4], Format/Datatype: Row major linear FP32 }], "
        "TacticName: t, StreamId: 1, Metadata: [ONNX Layer: n1]\x1f[ONNX Layer: n2]"
    )
    found = read("Layers:", line, files.TABLE_LAST)
    (layer,) = found.described
    assert (layer.type, layer.tactic, layer.stream, layer.operations) == ("gemm", "t", 1, 128)
    assert [tensor.name for tensor in (*layer.inputs, *layer.outputs)] == ["a, b", "y"]
    assert (layer.inputs[0].precision, layer.outputs[0].precision) == ("FP16", "FP32")
    assert layer.metadata == "[ONNX Layer: n1]\x1f[ONNX Layer: n2]"


@pytest.mark.parametrize(
    ("digits", "expected"), [("7000", "7.0.0"), ("8501", "8.5.1"), ("101601", "10.16.1"), ("110100", "11.1.0"), ("9", "")]
)
def test_the_version_is_read_from_its_digits(digits: str, expected: str) -> None:
    assert version(digits) == expected


def test_a_run_that_failed_after_it_measured_is_read_and_said_to_have_failed() -> None:
    assert "trtexec FAILED" in read(files.TABLE_LAST, verdict="FAILED").notes


def test_a_log_that_ends_early_is_said_to_end_early() -> None:
    assert "the log ends before trtexec did: it may be cut off" in read(files.TABLE_LAST, verdict="").notes


NOTHING = [
    ("[07/02/2026-03:47:36] [E] no GPU", "FAILED", r"FAILED before it measured anything \(no GPU\): mend that and run it again"),
    ("built", "PASSED", r"measured nothing here: run it with --dumpProfile --separateProfileRun and without --skipInference"),
    ("building", "", r"ends before anything was measured: run it again to its end with --dumpProfile"),
]


@pytest.mark.parametrize(("body", "verdict", "sentence"), NOTHING)
def test_a_log_without_a_number_says_why(body: str, verdict: str, sentence: str) -> None:
    with pytest.raises(UserError, match=rf"^(the log of )?trtexec 10\.16\.1 {sentence}$"):
        read(body, verdict=verdict)
