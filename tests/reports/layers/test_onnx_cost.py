"""Operations and bytes of ONNX nodes: hand-counted."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from common.errors import UserError
from reports.layers.attribution import attribute
from reports.layers.division import costs_of
from reports.layers.layer import Tensor
from reports.layers.onnx_cost import moved
from reports.layers.onnx_graph import OnnxGraph, graph_of, read
from tests.reports.layers.onnx_builders import costs, layer, model, node, profile


@pytest.mark.parametrize(
    ("nodes", "inputs", "weights", "operations"),
    [
        ([node("MatMul", "x w", "y")], {"x": [8, 5, 16]}, {"w": [16, 32]}, 2 * 8 * 5 * 16 * 32),
        ([node("Gemm", "x w", "y", transA=1)], {"x": [16, 8]}, {"w": [16, 32]}, 2 * 8 * 16 * 32),
        ([node("Conv", "x w", "y", pads=[1, 1, 1, 1])], {"x": [1, 4, 9, 9]}, {"w": [6, 4, 3, 3]}, 2 * 6 * 81 * 4 * 9),
        ([node("Conv", "x w", "y", group=4, pads=[1, 1, 1, 1])], {"x": [1, 4, 9, 9]}, {"w": [4, 1, 3, 3]}, 2 * 4 * 81 * 9),
        ([node("ConvTranspose", "x w", "y", strides=[2, 2])], {"x": [1, 4, 9, 9]}, {"w": [4, 6, 2, 2]}, 2 * 4 * 81 * 6 * 4),
        ([node("Einsum", "x w", "y", equation="bij,jk->bik")], {"x": [2, 3, 4]}, {"w": [4, 5]}, 2 * 2 * 3 * 4 * 5),
        ([node("Softmax", "x", "y")], {"x": [2, 8]}, {}, 5 * 16),
        ([node("LayerNormalization", "x w", "y")], {"x": [2, 8]}, {"w": [8]}, 8 * 16),
        ([node("ReduceMean", "x", "y", axes=[1])], {"x": [2, 8]}, {}, 16),
        ([node("MaxPool", "x", "y", kernel_shape=[2, 2], strides=[2, 2])], {"x": [1, 3, 4, 4]}, {}, 12 * 4),
        ([node("Transpose", "x", "y")], {"x": [2, 8]}, {}, 0),
        ([node("NobodyKnowsThis", "x", "y")], {"x": [2, 8]}, {}, None),
    ],
    ids=lambda value: value[0].op_type if isinstance(value, list) else "",
)
def test_operations_follow_from_the_shapes(
    nodes: list[onnx.NodeProto], inputs: dict[str, list[int | str]], weights: dict[str, list[int]], operations: int | None
) -> None:
    assert costs(nodes, inputs, "y", weights).operations == (operations,)


def test_attention_multiplies_queries_by_keys_and_their_softmax_by_values() -> None:
    attention = helper.make_node("MultiHeadAttention", ["q", "k", "v"], ["y"], domain="com.microsoft")
    shapes = {"q": [2, 10, 64], "k": [2, 30, 64], "v": [2, 30, 64]}
    assert costs([attention], shapes, "y").operations == (2 * (2 * 2 * 10 * 30 * 64),)


def test_bytes_are_those_of_every_tensor_and_a_gather_reads_only_what_it_picks() -> None:
    found = costs(
        [node("MatMul", "x w", "y"), node("Gather", "table ids", "z"), node("Cast", "i", "ids", to=TensorProto.INT64)][::-1],
        {"x": [2, 3], "i": [5]},
        "y z",
        {"w": [3, 4], "table": [1000, 8]},
    )
    assert moved(found.graph.nodes[2], found.graph) == (4 * (6 + 12), 4 * 8)
    assert moved(found.graph.nodes[1], found.graph) == (4 * 5 * 8 + 8 * 5, 4 * 5 * 8)
    assert moved(found.graph.nodes[2], found.graph, bits=16) == (2 * (6 + 12), 2 * 8)


def test_shapes_that_the_graph_computes_from_shapes_are_known_and_that_arithmetic_is_free() -> None:
    """Reshape(x, Concat(Slice(Shape(x)), -1)), where onnx's own inference loses the rank."""
    nodes = [
        node("Shape", "x", "shape"),
        node("Slice", "shape zero two", "first"),
        node("Concat", "first minus", "target", axis=0),
        node("Reshape", "x target", "flat"),
        node("Relu", "flat", "y"),
    ]
    constants = {"zero": np.array([0]), "two": np.array([2]), "minus": np.array([-1])}
    found = costs(nodes, {"x": ["batch", 3, 4, 5]}, "y", constants, {"batch": 7})
    value = found.graph.values["y"]
    assert value.shape == (7, 3, 20)
    assert found.free == {0, 1, 2, 3}
    assert found.operations == (0, 0, 0, 0, 7 * 3 * 20)


def test_a_dynamic_size_comes_from_the_option_then_from_the_engine_then_is_taken_as_one_with_a_note() -> None:
    def read_with(sizes: dict[str, int], shape: tuple[int, ...]) -> OnnxGraph:
        engine = layer("first", inputs=(Tensor("x", "FP16", "", shape),))
        return graph_of(model([node("Relu", "x", "y")], {"x": ["batch", 4]}, "y"), sizes, [engine])

    assert read_with({"batch": 3}, ()).values["y"].shape == (3, 4)
    assert read_with({}, (5, 4)).values["y"].shape == (5, 4)
    assert read_with({}, (5, 4)).notes == ()
    unknown = read_with({}, (-1, 4))
    assert unknown.values["y"].shape == (1, 4)
    assert "batch" in unknown.notes[0]


def test_a_size_that_the_engine_shows_for_one_input_holds_for_all_of_that_name() -> None:
    engine = layer("first", inputs=(Tensor("x", "FP16", "", (5, 4)),))
    graph = graph_of(model([node("Add", "x z", "y")], {"z": ["batch", 4], "x": ["batch", 4]}, "y"), {}, [engine])
    assert (graph.values["z"].shape, graph.notes) == ((5, 4), ())


def test_the_body_of_a_loop_counts_as_often_as_it_runs_and_its_nodes_know_their_parent() -> None:
    body = helper.make_graph(
        [node("Identity", "go", "again"), node("MatMul", "state w", "next")],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, None),
        ],
        [helper.make_empty_tensor_value_info("again"), helper.make_empty_tensor_value_info("next")],
    )
    loop = node("Loop", "times true x", "y", name="the loop", body=body)
    found = costs([loop], {"x": [4, 8]}, "y", {"w": [8, 8], "times": np.array(3), "true": np.array(True)})
    inner = next(place for place, one in enumerate(found.graph.nodes) if one.type == "MatMul")
    assert found.graph.nodes[inner].parent == "the loop"
    assert found.operations[inner] == 2 * 4 * 8 * 8
    assert found.operations[0] == 3 * 2 * 4 * 8 * 8


def test_weights_in_a_missing_file_are_not_asked_for(tmp_path: Path) -> None:
    big = model([node("MatMul", "x w", "y")], {"x": [4, 64]}, "y", {"w": [64, 64]})
    onnx.save_model(big, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    (tmp_path / "m.data").unlink()
    assert read(tmp_path / "m.onnx").values["y"].shape == (4, 64)


@pytest.mark.parametrize("content", [b"", b'{"Layers": []}', bytes(range(256)) * 20])
def test_what_is_no_onnx_file_is_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "wrong.onnx"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"wrong\.onnx: .*give the ONNX file"):
        read(path)
    with pytest.raises(UserError, match=r"gone\.onnx: cannot be read"):
        read(tmp_path / "gone.onnx")


@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8))
@settings(max_examples=150, deadline=None)
def test_a_damaged_onnx_file_is_read_or_refused_in_a_sentence(changes: list[tuple[float, int]]) -> None:
    content = bytearray(SOUND)
    for place, byte in changes:
        content[int(place * len(content))] = byte
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(content)
        file.flush()
        try:
            found = costs_of(read(Path(file.name)))
        except UserError:
            return
        assert math.fsum(row.time_us for row in attribute(profile(layer("s + y", 3.0)), found).nodes) == pytest.approx(3.0)


SOUND = model(
    [
        node("Shape", "x", "s"),
        node("Reshape", "x s", "r"),
        node("Gather", "s zero", "g"),
        node("MatMul", "r w", "m"),
        node("Conv", "image k", "c"),
        node("Softmax", "m", "y"),
    ],
    {"x": ["batch", 8], "image": [1, 3, 8, 8]},
    "y c",
    {"w": [8, 8], "k": [4, 3, 3, 3], "zero": np.array([0])},
).SerializeToString()


def test_modules_come_from_the_name_or_from_what_the_newer_exporter_writes() -> None:
    scoped = node("Add", "x x", "a", name="node_add_3")
    entry = scoped.metadata_props.add()
    entry.key, entry.value = "pkg.torch.onnx.name_scopes", "['', 'encoder', 'encoder.layer.0', 'encoder.layer.0.attention', 'add_3']"
    nodes = [scoped, node("Relu", "a", "b", name="/encoder/layer.3/attention/self/Relu"), node("Relu", "b", "y", name="Relu_9")]
    found = costs(nodes, {"x": [2, 2]}, "y").graph.nodes
    assert [one.module for one in found] == ["encoder/layer.0/attention", "encoder/layer.3/attention/self", ""]


def test_a_nameless_node_is_called_as_tensorrts_parser_calls_it() -> None:
    assert costs([node("Relu", "x", "y", name="")], {"x": [2]}, "y").graph.nodes[0].name == "node_of_y"
