"""Every finding fires on what it is about, and on nothing near it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.discover import discover
from common.errors import UserError
from reports.layers.finding import Context, Finder, Finding, findings
from reports.layers.layer import Layer
from reports.layers.profile import Profile
from reports.layers.read import read
from tests.reports.layers.onnx_builders import costs, layer, node, profile, tensor

CORPUS = Path(__file__).resolve().parents[4] / "shared" / "corpus"
FINDERS = discover("reports.layers.findings", Finder)


def found(name: str, of: Profile) -> list[Finding]:
    return list(FINDERS[name].value.find(of, Context()))


def conv(name: str, time: float = 50.0, precision: str = "FP16", channels: tuple[int, int] = (64, 64), **more: Any) -> Layer:
    read_, written = (tensor(f"{name}.{end}", precision, (8, size, 14, 14)) for end, size in zip(("in", "out"), channels, strict=True))
    return layer(name, time, type="Convolution", group="convolution", **{"inputs": (read_,), "outputs": (written,), **more})


def reformat(name: str, time: float, before: str = "FP32", after: str = "FP16") -> Layer:
    return layer(name, time, type="Reformat", inputs=(tensor("conv1.out", before),), outputs=(tensor("conv2.in", after),))


def test_the_ones_that_exist() -> None:
    """A new one shows up here, so that nobody forgets its two tests."""
    assert set(FINDERS) == {
        *("alignment", "reformats", "stayed_fp32", "streams", "sum_and_latency", "tiny_layers", "unfused_qdq", "unstable")
    }


def test_reformats_say_what_they_change_and_where_they_stand() -> None:
    of = profile(conv("conv1", 40.0), conv("conv2", 40.0), reformat("Reformatting CopyNode for Input Tensor 0 to conv2", 20.0))
    (one,) = found("reformats", of)
    assert one.title == "Reformats and copies take 20.0 % of the time (1 layer)"
    assert (one.cost_us, one.share) == (20.0, 0.2)
    assert one.evidence[0] == "1 convert the precision (20.0 µs), 0 only the layout"
    assert one.evidence[1].endswith("FP32 -> FP16, from conv1 to conv2")


def test_a_few_short_reformats_are_not_worth_a_line() -> None:
    assert not found("reformats", profile(conv("conv1", 98.0), reformat("copy", 2.0)))


def test_q_and_dq_on_their_own_are_found_but_not_the_one_at_the_network_s_input() -> None:
    first = layer("QuantizeLinear_2", 10.0, inputs=(tensor("image"),), outputs=(tensor("conv1.in"),))
    inner = layer("DequantizeLinear_9", 5.0, inputs=(tensor("conv1.out"),))
    (one,) = found("unfused_qdq", profile(first, conv("conv1", 85.0), inner))
    assert one.cost_us == 5.0
    assert one.evidence[0].startswith("DequantizeLinear_9")
    assert "1 more layer at a network input left out" in one.evidence[1]
    assert not found("unfused_qdq", profile(first, conv("conv1", 85.0)))


def test_a_quantise_that_fused_with_its_convolution_is_none() -> None:
    assert not found("unfused_qdq", profile(conv("conv1.weight + QuantizeLinear_7 + Conv_9", precision="INT8")))


def test_products_of_an_int8_engine_left_in_fp16_are_named() -> None:
    (one,) = found("unfused_qdq", profile(conv("a", 60.0, "INT8"), conv("b", 40.0)))
    assert one.title == "1 of 2 products of an INT8 engine compute in FP16"
    assert one.evidence[1].startswith("b [Convolution]: 40.0 µs")
    assert not found("unfused_qdq", profile(conv("a"), conv("b")))


def test_fp32_layers_beside_lower_ones_are_found_but_not_in_an_fp32_engine_nor_for_their_output_alone() -> None:
    norm = layer("norm", 30.0, inputs=(tensor("n", "FP32"),), outputs=(tensor("m", "FP32"),))
    last = layer("last", 30.0, inputs=(tensor("n", "FP16"),), outputs=(tensor("m", "FP32"),))
    (one,) = found("stayed_fp32", profile(conv("a", 70.0), norm, last))
    assert one.cost_us == 30.0
    assert one.evidence[0] == "1 product in FP16, 0 products among the FP32 layers"
    assert not found("stayed_fp32", profile(conv("a", 70.0, "FP32"), norm))
    assert not found("stayed_fp32", profile(conv("a", 70.0), last))
    first = layer("first", 30.0, inputs=(tensor("n", "FP32"),), outputs=(tensor("m", "FP16"),))
    assert not found("stayed_fp32", profile(conv("a", 70.0), first))


@pytest.mark.parametrize(
    ("precision", "fits", "off"), [("FP32", 68, 66), ("FP16", 72, 68), ("BF16", 72, 68), ("INT8", 96, 80)], ids=lambda value: str(value)
)
def test_channels_off_the_alignment_are_found_by_precision(precision: str, fits: int, off: int) -> None:
    assert not found("alignment", profile(conv("a", precision=precision, channels=(fits, fits))))
    (one,) = found("alignment", profile(conv("a", precision=precision, channels=(fits, off))))
    assert f"output channels {off} is no multiple of" in one.evidence[0]


def test_the_padding_says_how_much_of_the_work_it_would_be() -> None:
    (one,) = found("alignment", profile(conv("a", precision="INT8", channels=(24, 64))))
    assert one.evidence[-1] == "padding to the next multiple would be 25.0 % of it"


def test_an_image_a_depthwise_convolution_and_a_cpu_are_no_matter_of_alignment() -> None:
    assert not found("alignment", profile(conv("first", channels=(3, 64))))
    depthwise = conv("dw", channels=(68, 68), operations=2 * 8 * 68 * 14 * 14 * 9)
    assert not found("alignment", profile(depthwise))
    dense = conv("dense", channels=(68, 68), operations=2 * 8 * 68 * 14 * 14 * 9 * 68)
    assert found("alignment", profile(dense))
    assert not found("alignment", profile(dense, sources=(("trace.json", "ONNX Runtime profile"),)))


def test_a_sequence_of_197_is_off_for_the_product_with_the_keys() -> None:
    scores = layer("qk", type="gemm", inputs=(tensor("q", shape=(12, 197, 64)),), outputs=(tensor("s", shape=(12, 197, 197)),))
    (one,) = found("alignment", profile(scores))
    assert "outer size 197 is no multiple of 8 (FP16)" in one.evidence[0]


def test_with_the_onnx_file_products_inside_a_region_are_seen_too() -> None:
    nodes = [node("MatMul", "q k", "scores"), node("Softmax", "scores", "p"), node("MatMul", "p v", "y")]
    shapes = {"q": [12, 197, 64], "k": [12, 64, 197], "v": [12, 197, 64]}
    of = profile(layer("{ForeignNode[scores...y]}", 90.0, inputs=(tensor("q"),)), conv("a", 10.0))
    assert not found("alignment", of)
    (one,) = FINDERS["alignment"].value.find(of, Context(costs(nodes, shapes, "y")))
    assert "outer size 197 is no multiple of 8 (FP16, in scores; time divided by estimate)" in one.evidence[0]
    assert one.cost_us is not None
    assert 0 < one.cost_us < 90.0
    even = {"q": [12, 200, 64], "k": [12, 64, 200], "v": [12, 200, 64]}
    assert not FINDERS["alignment"].value.find(of, Context(costs(nodes, even, "y")))


def test_many_tiny_layers_are_found_few_or_launched_never_are_not() -> None:
    tiny = [layer(f"t{n}", 3.0) for n in range(12)]
    (one,) = found("tiny_layers", profile(layer("big", 100.0), *tiny))
    assert one.title.startswith("12 of 13 layers take less than 5.0 µs each, 26.5 %")
    assert not found("tiny_layers", profile(layer("big", 100.0), *tiny[:9]))
    assert not found("tiny_layers", profile(layer("big", 1000.0), *tiny))
    assert not found("tiny_layers", profile(layer("big", 100.0), *(layer(f"n{n}", 0.0) for n in range(20))))


def test_what_the_profiler_added_does_not_hide_a_tiny_layer() -> None:
    seven = [layer(f"t{n}", 7.0) for n in range(20)]
    assert not found("tiny_layers", profile(*seven))
    (one,) = found("tiny_layers", profile(*seven, latency_us=80.0))
    assert one.evidence[0] == "the profiler seems to add 3.0 µs to each layer; times below include it"


def test_an_excess_over_the_latency_is_not_the_profiler_s_where_layers_ran_at_once() -> None:
    assert not found("tiny_layers", profile(*(layer(f"t{n}", 7.0, stream=n % 2) for n in range(20)), latency_us=80.0))


def test_a_host_that_is_as_slow_as_the_gpu_is_named() -> None:
    (one,) = found("tiny_layers", profile(layer("a", 50.0), latency_us=50.0, enqueue_us=49.0))
    assert "98.0 % of the GPU compute time" in one.evidence[0]
    assert not found("tiny_layers", profile(layer("a", 50.0), latency_us=50.0, enqueue_us=20.0))


def test_a_sum_far_from_the_latency_is_explained_as_far_as_the_files_allow() -> None:
    layers = [layer(f"l{n}", 10.0) for n in range(10)]
    (by_profiler,) = found("sum_and_latency", profile(*layers, latency_us=70.0))
    assert "42.9 % more than the latency" in by_profiler.title
    assert "3.0 µs for each of 10 layers" in by_profiler.evidence[0]
    assert by_profiler.evidence[1].startswith("likely the profiler")
    (too_much,) = found("sum_and_latency", profile(*layers, latency_us=10.0))
    assert "more or less than profilers usually add" in too_much.evidence[1]
    (streams,) = found("sum_and_latency", profile(*(layer(f"l{n}", 10.0, stream=n % 2) for n in range(10)), latency_us=70.0))
    assert "several streams" in streams.evidence[1]
    (gaps,) = found("sum_and_latency", profile(*layers, latency_us=150.0, enqueue_us=140.0))
    assert "50.0 µs of the latency are in no layer" in gaps.evidence[0]
    assert "140.0 µs" in gaps.evidence[1]
    assert not found("sum_and_latency", profile(*layers, latency_us=95.0))
    assert not found("sum_and_latency", profile(*layers))


def test_the_sum_of_means_is_compared_with_the_mean_of_the_runs_not_their_median() -> None:
    """One slow run in ten is in both."""
    of = profile(layer("a", 190.0), latency_us=100.0, latencies_us=(100.0,) * 9 + (1000.0,))
    assert not found("sum_and_latency", of)


def samples(kind: str) -> tuple[float, ...]:
    rng = np.random.default_rng(0)
    steady = rng.normal(100, 1, 4000)
    made = {
        "steady": steady,
        "ticks": np.round(steady / 1.024) * 1.024,
        "one outlier": np.concatenate([steady, [400.0]]),
        "spread": rng.normal(100, 6, 4000),
        "tail": np.where(rng.random(4000) < 0.03, 150.0, steady),
        "drift": steady + np.linspace(0, 5, 4000),
        "speeds": np.where(rng.random(4000) < 0.3, 110.0, 100.0) + rng.normal(0, 0.5, 4000),
        "flat": rng.uniform(96, 104, 4000),
        "few": rng.normal(100, 20, 20),
    }
    return tuple(float(value) for value in made[kind])


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("spread", "half of the runs"),
        ("tail", "one run in a hundred"),
        ("drift", "it drifts: the median of the last"),
        ("speeds", "two speeds"),
    ],
)
def test_unstable_timing_is_told_by_its_kind(kind: str, says: str) -> None:
    (one,) = found("unstable", profile(layer("a"), latencies_us=samples(kind)))
    assert any(says in line for line in one.evidence[1:]), one.evidence
    assert "Possible causes" in one.remedy
    assert one.cost_us is None


@pytest.mark.parametrize("kind", ["steady", "ticks", "one outlier", "flat", "few"])
def test_noise_outliers_and_a_coarse_clock_are_no_instability(kind: str) -> None:
    assert not found("unstable", profile(layer("a"), latencies_us=samples(kind)))


def test_means_far_above_medians_are_unstable_too_unless_the_clock_s_ticks_explain_it() -> None:
    (one,) = found("unstable", profile(layer("a", 50.0, median_us=20.0), layer("b", 10.0)))
    assert one.evidence[1] == "most in a: mean 50.0 µs, median 20.0 µs"
    assert not found("unstable", profile(layer("a", 2.5, median_us=2.0), layer("b", 2.6, median_us=2.0)))


def test_several_streams_are_told_apart_one_is_silent() -> None:
    (one,) = found("streams", profile(layer("a", 30.0, stream=0), layer("b", 10.0, stream=3)))
    assert one.evidence == ("stream 0: 1 layer, 30.0 µs (75.0 %)", "stream 3: 1 layer, 10.0 µs (25.0 %)")
    assert not found("streams", profile(layer("a", stream=0), layer("b", stream=0), layer("c", 0.0, stream=1)))
    (said,) = found("streams", profile(layer("a"), notes=("the engine uses auxiliary streams: ...",)))
    assert "auxiliary streams" in said.title


def test_the_one_that_concerns_most_time_comes_first_and_an_empty_profile_has_none() -> None:
    of = profile(conv("conv1", 40.0), reformat("copy", 10.0), layer("QuantizeLinear_3", 20.0))
    assert [one.cost_us for one in findings(of)] == [20.0, 10.0]
    assert findings(profile()) == ()
    assert findings(profile(layer("a", None))) == ()


def test_long_names_are_cut_in_the_middle() -> None:
    (one,) = found("reformats", profile(reformat("Reformatting CopyNode " + "x" * 5000 + " the end", 5.0)))
    assert all(len(line) < 300 for line in one.evidence)
    assert " ... " in one.evidence[1]


def corpus() -> Iterator[Profile]:
    for path in sorted(
        (*CORPUS.glob("*/*profile.json"), *CORPUS.glob("*/*latency.json"), *CORPUS.glob("*/*.log"), *CORPUS.glob("local*/*.json"))
    ):
        try:
            yield read([path])
        except UserError:
            continue


@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus of real files is not beside this checkout")
def test_on_real_engines_every_kind_is_the_exception_and_none_costs_more_than_the_whole() -> None:
    profiles = list(corpus())
    fired: Counter[str] = Counter()
    for of in profiles:
        for name in FINDERS:
            for one in found(name, of):
                fired[name] += 1
                assert one.evidence
                assert one.remedy
                assert one.share is None or 0 < one.share <= 1
    assert len(profiles) > 30
    assert all(0 < fired[name] < len(profiles) / 2 for name in FINDERS), fired


@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus of real files is not beside this checkout")
def test_quantising_the_residual_branch_removed_seven_of_nine_quantisers() -> None:
    """NVIDIA's own example of the three engines."""
    folder = CORPUS / "NVIDIA__TensorRT"
    layers = []
    for name in ("qat__resnet-qat", "qat-residual__resnet-qat-residual", "qat-residual-qgap__resnet-qat-residual-qgap"):
        one = found("unfused_qdq", read([folder / f"pytorch__resnet__A100__{name}.onnx.engine.profile.json"]))
        layers.append(one[0].title.rpartition("(")[2] if one else "none")
    assert layers == ["9 layers)", "2 layers)", "none"]
