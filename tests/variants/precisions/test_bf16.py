"""What bf16 rounds, seen by rounding in fp32: ONNX Runtime's CPU casts bf16 but computes nothing in it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from reports.accuracy import output_error
from tests.variants.graphs import Norm, affine, feeds, loop, model, node, run, small_graphs, value
from variants.models.vit_digits import vit_digits
from variants.precisions.bf16 import bf16
from variants.variant import Array

BRAIN = TensorProto.BFLOAT16


def emulated(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The model with every bf16 tensor in fp32, rounded to bf16 where it is made."""
    inferred = onnx.shape_inference.infer_shapes(graph)
    brain = {v.name for v in inferred.graph.value_info if v.type.tensor_type.elem_type == BRAIN}
    after = onnx.ModelProto()
    after.CopyFrom(graph)
    for tensor in after.graph.initializer:
        if tensor.data_type == BRAIN:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
    nodes = []
    for made in graph.graph.node:
        new = onnx.NodeProto()
        new.CopyFrom(made)
        rounded = [name for name in made.output if name in brain]
        new.output[:] = [f"{name}/exact" if name in brain else name for name in made.output]
        for attribute in new.attribute:
            if attribute.name == "to" and attribute.i == BRAIN:
                attribute.i = TensorProto.FLOAT
        nodes.append(new)
        for name in rounded:
            nodes.append(helper.make_node("Cast", [f"{name}/exact"], [f"{name}/rounded"], to=BRAIN))
            nodes.append(helper.make_node("Cast", [f"{name}/rounded"], [name], to=TensorProto.FLOAT))
    del after.graph.node[:], after.graph.value_info[:]
    after.graph.node.extend(nodes)
    return after


def test_the_test_images_are_within_the_declared_tolerance(vit: onnx.ModelProto, vit_reference: dict[str, Array]) -> None:
    actual = run(emulated(bf16.apply(vit, ())), vit_digits.inputs("test"))
    error = output_error("logits", actual["logits"], vit_reference["logits"])
    assert error.snr_db >= bf16.min_snr_db
    assert error.snr_db < 60, "it was rounded at all"
    assert vit_digits.agreement(actual, vit_reference) >= bf16.min_agreement


@pytest.mark.parametrize("name", small_graphs())
def test_graphs_of_every_kind_stay_valid_and_close(name: str) -> None:
    graph = small_graphs()[name]
    after = bf16.apply(graph, ())
    onnx.checker.check_model(after, full_check=True)
    given = feeds(graph, 3)
    for output, array in run(graph, given).items():
        np.testing.assert_allclose(run(emulated(after), given)[output], array, rtol=4e-2, atol=8e-2)


def test_what_the_type_has_no_operator_for_stays_in_fp32() -> None:
    """HardSwish knows bf16 from opset 22 on."""
    graph = model([node("HardSwish", "x", "h"), node("Relu", "h", "y")], opset=14)
    casts = [made for made in bf16.apply(graph, ()).graph.node if made.op_type == "Cast"]
    assert [(made.input[0], made.output[0]) for made in casts] == [("h", "h/bf16"), ("y/bf16", "y")]


def test_sizes_are_computed_in_fp32() -> None:
    """3,000 is not a number of bf16 or fp16 arithmetic."""
    nodes = [
        node("Shape", "x", "shape"),
        node("Gather", "shape two", "count", axis=0),
        node("Cast", "count", "real", to=TensorProto.FLOAT),
        node("Div", "real one", "whole"),
        node("Cast", "whole", "size", to=TensorProto.INT64),
        node("Concat", "first size", "target", axis=0),
        node("Reshape", "x target", "h"),
        node("Relu", "h", "y"),
    ]
    held = {"two": np.array([2], np.int64), "first": np.array([-1], np.int64), "one": np.float32(1)}
    graph = model(nodes, held, [value("x", ("batch", 1, 3001))], [value("y", ("batch", 3001))])
    after = bf16.apply(graph, ())
    assert run(emulated(after), {"x": np.ones((2, 1, 3001), np.float32)})["y"].shape == (2, 3001)


def test_a_body_reads_what_is_outside_in_fp32() -> None:
    graph = loop()
    graph.graph.node.insert(0, node("Exp", "x", "before"))
    graph.graph.node[1].input[2] = "before"
    after = bf16.apply(graph, ())
    onnx.checker.check_model(after, full_check=True)
    given = feeds(graph, 2)
    np.testing.assert_allclose(run(emulated(after), given)["y"], run(graph, given)["y"], rtol=2e-2)


def test_a_number_beyond_the_largest_stays_finite() -> None:
    """The mask of an attention: the lowest number of fp32 would round to minus infinity."""
    graph = model([node("Add", "x lowest", "y")], {"lowest": np.finfo(np.float32).min})
    (stored,) = (t for t in bf16.apply(graph, ()).graph.initializer)
    assert np.isfinite(numpy_helper.to_array(stored).astype(np.float32)).all()


def test_statistics_stay_in_fp32_unless_asked() -> None:
    graph, asked = model(Norm().nodes(), affine()), bf16.at("statistics")
    assert asked is not None
    assert not any(t.data_type == BRAIN for t in bf16.apply(graph, ()).graph.initializer)
    assert any(t.data_type == BRAIN for t in asked.apply(graph, ()).graph.initializer)
    assert bf16.at("other") is None
