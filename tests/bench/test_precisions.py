"""Precisions as the user writes them, and which backends take them."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto

from bench.backend import Backend
from bench.matrix import choose, plan, presets
from bench.precisions import base_name, find, keeping, names, refusal
from common.discover import discover
from common.errors import UserError
from tests.variants.test_keep import block, given, reads
from variants.lowering.keep import named

BACKENDS = discover("bench.backends", Backend)


@pytest.mark.parametrize(
    "text",
    [
        "fp16",
        "int8_percentile:99.9",
        "int8_smooth:0.7:attention",
        "int8_entropy~op:Softmax~/blocks.0/*",
        "int8_entropy:integer~group:head",
        "int8_entropy~group:stem+fp16~group:layernorm",
    ],
)
def test_a_precision_is_called_what_was_written(text: str) -> None:
    assert find(text).name == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("int8_entrpy", "did you mean 'int8_entropy'"),
        ("fp32:fast", "fp32 has no option 'fast'; it has none; write fp32"),
        ("int8_percentile:101", "has no option '101'; there are: a percentage from 50 to 100"),
        ("int8_smooth:x", "there are: alpha from 0 to 1"),
        ("int4_weights:48", "a block of 32, 64 or 128 rows"),
        ("int8_entropy~", "an empty pattern after '~'"),
        ("fp16~group:atention", "unknown group 'atention': did you mean 'attention'?"),
        ("fp16+int8_entropy", "int8_entropy is calibrated, so it comes first"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(text: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        find(text)


def test_every_difference_in_the_text_is_a_difference_of_identity() -> None:
    texts = ["int8_entropy", "int8_entropy:attention", "int8_entropy~a", "int8_entropy~b", "int8_entropy~a~b", "int8_entropy+fp16"]
    texts += ["int8_entropy~a+fp16", "int8_entropy+fp16~a", "int8_mse", "int8_smooth:0.5", "int8_smooth"]
    assert len({find(text).digest for text in texts}) == len(texts)


def test_ranges_depend_on_options_and_on_nothing_else() -> None:
    assert base_name("int8_smooth:0.7~group:head+fp16~op:Add") == "int8_smooth:0.7"


def test_what_is_kept_out_of_each_part_is_found_in_the_graph_as_it_came() -> None:
    """Behind Q/DQ nothing reads a constant weight, so that the head would be no product any more."""
    graph = named(block())
    precision = find("int8_minmax~group:head+fp16~group:head").value
    assert precision.calibrate is not None
    after = precision.apply(graph, precision.calibrate(graph, given(graph)))
    assert reads(after, "/head/MatMul") == ["FLOAT", "FLOAT"]
    assert reads(after, "/blocks.0/attn/q") == ["DequantizeLinear"] * 2
    assert reads(after, "/blocks.0/attn/MatMul") == ["FLOAT16"] * 2


def test_what_the_first_part_keeps_goes_into_the_second() -> None:
    graph = named(block())
    precision = find("int8_minmax~group:head+fp16").value
    assert precision.calibrate is not None
    assert reads(precision.apply(graph, precision.calibrate(graph, given(graph))), "/head/MatMul") == ["FLOAT16"] * 2


def test_scales_of_a_composition_are_in_its_second_type() -> None:
    graph = named(block())
    precision = find("int8_minmax+fp16").value
    assert precision.calibrate is not None
    after = precision.apply(graph, precision.calibrate(graph, given(graph)))
    types = {tensor.name: tensor.data_type for tensor in after.graph.initializer}
    scales = [made.input[1] for made in after.graph.node if made.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert {types[name] for name in scales} == {TensorProto.FLOAT16}
    onnx.checker.check_model(after, full_check=True)


def test_keep_applies_to_every_part_of_what_lowers_anything() -> None:
    assert keeping("int8_entropy~a+fp16", ["op:Softmax"]) == "int8_entropy~a~op:Softmax+fp16~op:Softmax"
    assert keeping("fp32", ["op:Softmax"]) == "fp32"
    assert keeping("tf32", ["op:Softmax"]) == "tf32"


def test_keep_is_an_option_of_a_run_and_a_field_of_a_preset(tmp_path: Path) -> None:
    axes = {"precisions": "fp32,fp16,int8_entropy"}
    chosen = choose("quick", axes, keep="op:Softmax,group:head").preset
    assert chosen.precisions == ("fp32", "fp16~op:Softmax~group:head", "int8_entropy~op:Softmax~group:head")
    file = tmp_path / "presets.toml"
    axes_text = (
        'why = "w"\nvariants = ["vit_digits"]\npasses = ["none"]\nprecisions = ["fp16~op:Add"]\nbatches = [1]\nbackends = ["onnxruntime"]\n'
    )
    file.write_text(f'[mine]\n{axes_text}keep = ["op:Softmax"]\n')
    assert presets(file)["mine"].keep == ("op:Softmax",)


def test_tf32_is_for_backends_that_have_it() -> None:
    assert "TF32 is a builder flag of TensorRT" in refusal("tf32", BACKENDS["onnxruntime"].value, "8.9")
    assert refusal("tf32", BACKENDS["tensorrt_rtx"].value, "8.9") == ""
    assert "needs compute capability 8.0" in refusal("tf32", BACKENDS["tensorrt_rtx"].value, "7.5")


def test_integer_operators_are_for_onnx_runtime() -> None:
    assert refusal("int8_entropy:integer", BACKENDS["onnxruntime"].value, "8.9") == ""
    assert "com.microsoft" in refusal("int8_entropy:integer", BACKENDS["tensorrt_rtx"].value, "8.9")


@pytest.mark.parametrize("text", ["bf16", "int8_entropy+bf16"])
def test_the_cpu_says_that_it_has_no_bf16(text: str) -> None:
    assert refusal(text, BACKENDS["onnxruntime"].value, "8.9") == "ONNX Runtime's CPU has no kernels in bf16"
    assert refusal(text, BACKENDS["tensorrt_rtx"].value, "8.0") == ""


def test_a_composition_needs_what_its_parts_do() -> None:
    assert find("int8_entropy+bf16").value.needs == "8.0"
    assert find("fp8+bf16").value.needs == "8.9"


def test_the_plan_says_which_precision_cannot_run_where() -> None:
    axes = {"variants": "vit_digits", "passes": "none", "precisions": "fp32,tf32,bf16", "batches": "1", "backends": "onnxruntime"}
    cannot = {cell.case.precision: cell.unavailable for cell in plan(choose("quick", axes))}
    assert [name for name, why in cannot.items() if why] == ["tf32", "bf16"]


def test_every_precision_is_named_without_its_options() -> None:
    assert {"fp32", "tf32", "fp16", "bf16", "fp8", "int8_weights", "int4_weights"} < set(names())
    assert {"int8_minmax", "int8_entropy", "int8_percentile", "int8_mse", "int8_smooth"} < set(names())
