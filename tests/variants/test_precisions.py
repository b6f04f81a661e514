"""What every precision must hold: a new file in variants/precisions is tested by being there."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from common.discover import discover
from reports.accuracy import Accuracy, Tolerance, output_error
from tests.variants.graphs import Norm, affine, copy, feeds, model, node, run, value
from variants.models.vit_digits import score, vit_digits
from variants.passes.fuse_layernorm import fuse_layernorm
from variants.precision import Precision, carries
from variants.variant import Array

PRECISIONS = discover("variants.precisions", Precision)
INT8 = [name for name, declared in PRECISIONS.items() if declared.value.dtype == TensorProto.INT8 and declared.value.calibrate]
ON_THE_CPU = [name for name, declared in PRECISIONS.items() if declared.value.dtype != TensorProto.BFLOAT16]
"""ONNX Runtime's CPU has no kernels in bf16: precisions/test_bf16.py rounds in fp32 instead."""
Converted = Callable[[str], onnx.ModelProto]
every_precision = pytest.mark.parametrize("name", PRECISIONS)
every_int8 = pytest.mark.parametrize("name", INT8)


def apply(precision: Precision, graph: onnx.ModelProto) -> onnx.ModelProto:
    ranges = precision.calibrate(graph, vit_digits.inputs("calibration")) if precision.calibrate else ()
    return precision.apply(graph, ranges)


@pytest.fixture(scope="session")
def converted(vit: onnx.ModelProto) -> Converted:
    """vit_digits in a precision, made once."""
    return functools.cache(lambda name: apply(PRECISIONS[name].value, copy(vit)))


@every_precision
def test_a_precision_leaves_a_valid_model_that_carries_its_element_type(name: str, converted: Converted) -> None:
    onnx.checker.check_model(converted(name), full_check=True)
    assert carries(converted(name), PRECISIONS[name].value.dtype)


@every_precision
def test_inputs_outputs_and_the_free_batch_stay(name: str, converted: Converted, vit: onnx.ModelProto) -> None:
    for before, after in ((vit.graph.input, converted(name).graph.input), (vit.graph.output, converted(name).graph.output)):
        assert [(v.name, v.type.tensor_type) for v in after] == [(v.name, v.type.tensor_type) for v in before]


@pytest.mark.parametrize("name", ON_THE_CPU)
def test_the_test_images_are_within_the_declared_tolerance(name: str, converted: Converted, vit_reference: dict[str, Array]) -> None:
    actual = run(converted(name), vit_digits.inputs("test"))
    accuracy = Accuracy(
        inputs=360,
        outputs=(output_error("logits", actual["logits"], vit_reference["logits"]),),
        agreement=vit_digits.agreement(actual, vit_reference),
        metric=vit_digits.metric,
        score=score(actual),
        reference_score=score(vit_reference),
    )
    p = PRECISIONS[name].value
    assert Tolerance(p.min_snr_db, p.min_agreement, p.max_drop, p.why).violation(accuracy) is None


@every_precision
def test_a_tolerance_has_a_reason_and_is_one(name: str) -> None:
    p = PRECISIONS[name].value
    assert len(p.why.split()) > 5
    assert 0 < p.min_snr_db < 300
    assert 0.5 < p.min_agreement <= 1
    assert 0 <= p.max_drop < 0.5


@every_precision
def test_the_argument_is_not_changed(name: str) -> None:
    rows = ("batch", 4, 32)
    weight = np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32)
    graph = model(
        [node("MatMul", "x w", "h"), *Norm(source="h").nodes()], affine(32) | {"w": weight}, [value("x", rows)], [value("y", rows)]
    )
    argument, precision = copy(graph), PRECISIONS[name].value
    ranges = precision.calibrate(argument, feeds(graph, 4)) if precision.calibrate else ()
    precision.apply(argument, ranges)
    assert argument == graph


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT16, TensorProto.INT8])
def test_a_graph_in_fp32_carries_nothing_smaller(dtype: int, vit: onnx.ModelProto) -> None:
    assert not carries(vit, dtype)
    assert not carries(fuse_layernorm.run(vit)[0], dtype)


def values(graph: onnx.ModelProto) -> dict[str, np.ndarray[Any, Any]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}


def nodes(graph: onnx.ModelProto, op: str) -> list[onnx.NodeProto]:
    return [one for one in graph.graph.node if one.op_type == op]


@every_int8
def test_every_zero_point_of_int8_is_zero_and_every_scale_positive(name: str, converted: Converted) -> None:
    stored = values(converted(name))
    pairs = nodes(converted(name), "QuantizeLinear") + nodes(converted(name), "DequantizeLinear")
    assert pairs
    for one in pairs:
        scale, zero = stored[one.input[1]], stored[one.input[2]]
        assert zero.dtype == np.int8
        assert not zero.any()
        assert (np.isfinite(scale) & (scale > 0)).all()


@every_int8
def test_activations_have_one_scale_and_one_pair_each(name: str, converted: Converted) -> None:
    stored = values(converted(name))
    quantise = nodes(converted(name), "QuantizeLinear")
    assert {stored[one.input[1]].shape for one in quantise} == {()}
    assert set(Counter(one.input[0] for one in quantise).values()) == {1}
    restored = Counter(one.input[0] for one in nodes(converted(name), "DequantizeLinear"))
    assert [restored[one.output[0]] for one in quantise] == [1] * len(quantise), "each has one reader in this model"


@every_int8
def test_weights_are_symmetric_and_have_a_scale_a_channel(name: str, converted: Converted) -> None:
    stored = values(converted(name))
    weights = [one for one in nodes(converted(name), "DequantizeLinear") if one.input[0] in stored]
    assert len(weights) == 26, "1 convolution, 4 products in each of 6 blocks, and the head"
    for one in weights:
        axis = next(a.i for a in one.attribute if a.name == "axis")
        weight, scale = stored[one.input[0]], stored[one.input[1]]
        assert weight.dtype == np.int8
        assert scale.shape == (weight.shape[axis],)
        assert weight.min() >= -127
        others = tuple(i for i in range(weight.ndim) if i != axis)
        assert (np.abs(weight).max(others) == 127).all()


@every_int8
def test_products_by_a_weight_read_only_dequantised_tensors(name: str, converted: Converted) -> None:
    restored = {one.output[0] for one in nodes(converted(name), "DequantizeLinear")}
    read = [set(one.input[:2]) <= restored for op in ("MatMul", "Gemm", "Conv") for one in nodes(converted(name), op)]
    assert Counter(read) == {True: 26, False: 12}, "12 are the products of two activations in attention"
