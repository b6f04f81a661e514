"""Plans that execute the same have one digest, and no others."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import numpy_helper

from bench.tune.program import program
from tests.bench.tune.made import network


def digest(model: onnx.ModelProto, folder: Path) -> str:
    path = folder / "plan"
    onnx.save(model, path)
    return program(path)


def renamed(model: onnx.ModelProto) -> onnx.ModelProto:
    for tensor in model.graph.initializer:
        tensor.name += "_x"
    for node in model.graph.node:
        node.name = f"other_{node.name}"
        node.input[:] = [name if name == "x" else f"{name}_x" for name in node.input]
        node.output[:] = [f"{name}_x" for name in node.output]
    model.graph.output[0].name += "_x"
    return model


def test_names_and_the_order_of_weights_make_no_other_program(tmp_path: Path) -> None:
    other = renamed(network())
    tensors = list(other.graph.initializer)[::-1]
    del other.graph.initializer[:]
    other.graph.initializer.extend(tensors)
    assert digest(other, tmp_path) == digest(network(), tmp_path)


def test_one_weight_one_attribute_or_one_edge_make_another(tmp_path: Path) -> None:
    whole = digest(network(), tmp_path)
    weight = network()
    value = numpy_helper.to_array(weight.graph.initializer[2]).copy()
    value[0, 0] += 1
    weight.graph.initializer[2].CopyFrom(numpy_helper.from_array(value, weight.graph.initializer[2].name))
    attribute = network()
    attribute.graph.node[0].attribute.append(onnx.helper.make_attribute("epsilon", 1e-3))
    edge = network()
    edge.graph.node[4].input[0] = edge.graph.node[4].input[1]
    assert len({whole, *(digest(model, tmp_path) for model in (weight, attribute, edge))}) == 4


def test_a_plan_that_is_no_onnx_model_is_known_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "plan"
    path.write_bytes(b"\xff\xfe engine")
    first = program(path)
    path.write_bytes(b"\xff\xfe engine 2")
    assert program(path) != first
