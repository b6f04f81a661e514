"""Which work on rows of a constant moves to the build, which stays, and that both compute the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.variants.families import cache_folder, exported
from tests.variants.graphs import WIDTH, body, equal_outputs, feeds, model, node, operators, run, value
from tests.variants.more_graphs.ahead import NUMBERS, OPSET, POSITIONS, ROWS, TIME, embedded, heads, ints, positions, projected, random
from variants.explain import listening
from variants.passes.precompute_sliced import precompute_sliced

SQUARE = random(WIDTH, WIDTH)
ROW = random(WIDTH)
ADD = node("Add", "x h", "y")


def linear(source: str, output: str) -> onnx.NodeProto:
    return node("MatMul", f"{source} w", output)


MOVED = {
    "a product": positions(linear("rows", "h"), ADD, w=SQUARE),
    "a product and a bias": projected(),
    "a product from the left along another axis": positions(
        node("Transpose", "rows", "t", perm=[0, 2, 1]),
        node("MatMul", "w t", "u"),
        node("Transpose", "u", "h", perm=[0, 2, 1]),
        ADD,
        w=SQUARE,
    ),
    "a norm of each row": positions(node("LayerNormalization", "rows scale bias", "h", axis=-1), ADD, scale=ROW, bias=ROW, opset=17),
    "an activation of the product by itself": positions(
        linear("rows", "p"), node("Sigmoid", "p", "s"), node("Mul", "p s", "h"), ADD, w=SQUARE
    ),
    "a softmax of each row": positions(node("Softmax", "rows", "h", axis=-1), ADD),
    "axes taken away and added": positions(
        node("Squeeze", "rows nought", "two_"), linear("two_", "p"), node("Unsqueeze", "p nought", "h"), ADD, w=SQUARE
    ),
    "a product of three dimensions": positions(linear("rows", "h"), ADD, w=random(1, WIDTH, WIDTH)),
    "heads": heads(),
    "an embedding and its projection": embedded(linear("rows", "h"), w=SQUARE),
    "an embedding that is scaled": embedded(node("Mul", "rows factor", "h"), factor=np.float32(8)),
    "an embedding and the norm of a row": embedded(node("Mul", "rows scale", "p"), node("Tanh", "p", "h"), scale=ROW),
}


@pytest.mark.parametrize("form", MOVED)
def test_what_is_done_to_each_row_alone_is_computed_ahead(form: str) -> None:
    graph = MOVED[form]
    after, rewrites = precompute_sliced.run(graph)
    assert rewrites == 1
    assert len(after.graph.node) < len(graph.graph.node)
    equal_outputs(graph, after)
    assert precompute_sliced.run(after)[1] == 0


def test_no_product_by_a_weight_is_left_between_a_table_and_the_attention() -> None:
    after, _ = precompute_sliced.run(heads())
    assert operators(after).count("MatMul") == 2
    sliced = next(made for made in after.graph.node if made.op_type == "Slice" and made.output[0] == "keys")
    table = next(numpy_helper.to_array(tensor) for tensor in after.graph.initializer if tensor.name == sliced.input[0])
    assert table.shape == (1, 2, 4, ROWS)


LEFT = {
    "a softmax along the picked axis": positions(node("Softmax", "rows", "h", axis=1), ADD),
    "a sum over the picked rows": positions(node("ReduceMean", "rows", "h", axes=[1]), ADD),
    "a constant that differs from row to row": positions(
        node("Slice", "table nought four one", "first"), node("Add", "first c", "h"), ADD, four=ints(4), c=random(1, 4, WIDTH)
    ),
    "rows that are added as they are": positions(node("Add", "x rows", "y")),
    "two tensors of the run": positions(node("Mul", "rows x", "h"), ADD),
    "an embedding that is reduced over the places": embedded(node("ReduceMean", "rows", "h", axes=[1])),
}


@pytest.mark.parametrize("form", LEFT)
def test_what_mixes_rows_or_needs_the_run_stays(form: str) -> None:
    after, rewrites = precompute_sliced.run(LEFT[form])
    assert rewrites == 0
    assert after is LEFT[form]


def test_a_chain_is_computed_ahead_up_to_where_rows_mix() -> None:
    graph = positions(linear("rows", "p"), node("ReduceMean", "p", "m", axes=[1]), node("Add", "x m", "y"), w=SQUARE)
    after, rewrites = precompute_sliced.run(graph)
    assert rewrites == 1
    assert "MatMul" not in operators(after)
    assert "ReduceMean" in operators(after)
    equal_outputs(graph, after)


def test_each_of_two_readers_gets_a_table_of_its_own() -> None:
    graph = positions(
        linear("rows", "p"),
        node("MatMul", "rows v", "q"),
        node("Add", "x p", "h"),
        node("Mul", "h q", "y"),
        w=SQUARE,
        v=SQUARE[::-1].copy(),
    )
    after, rewrites = precompute_sliced.run(graph)
    assert rewrites == 2
    assert "MatMul" not in operators(after)
    equal_outputs(graph, after)


def test_a_graph_output_in_the_middle_of_a_chain_keeps_its_name_and_value() -> None:
    nodes = [*POSITIONS, linear("rows", "p"), node("Tanh", "p", "h"), ADD]
    held = NUMBERS | {"table": random(1, ROWS, WIDTH), "w": SQUARE}
    graph = model(nodes, held, [value("x", TIME)], [value("y", TIME), value("p", (1, "time", WIDTH))], OPSET)
    after, rewrites = precompute_sliced.run(graph)
    assert rewrites == 2
    equal_outputs(graph, after)


def test_rows_that_only_a_branch_reads_are_still_there() -> None:
    branches = {
        "then_branch": body("then", [node("Add", "x p", "t")], [value("t", TIME)]),
        "else_branch": body("else", [node("Sub", "x p", "e")], [value("e", TIME)]),
    }
    nodes = [
        *POSITIONS,
        linear("rows", "p"),
        node("ReduceSum", "x", "sum", keepdims=0),
        node("Greater", "sum zero", "positive"),
        node("If", "positive", "y", **branches),
    ]
    held = NUMBERS | {"table": random(1, ROWS, WIDTH), "w": SQUARE, "zero": np.float32(0)}
    graph = model(nodes, held, [value("x", TIME)], [value("y", TIME)], OPSET)
    after, rewrites = precompute_sliced.run(graph)
    assert rewrites == 1
    assert "MatMul" not in operators(after)
    equal_outputs(graph, after)


def test_a_shape_that_is_still_asked_for_does_not_keep_the_product() -> None:
    sized = [node("Shape", "p", "asked"), node("ConstantOfShape", "asked", "zeros"), node("Add", "p zeros", "h")]
    graph = positions(linear("rows", "p"), *sized, ADD, w=SQUARE)
    after, rewrites = precompute_sliced.run(graph)
    assert rewrites == 1
    assert "MatMul" not in operators(after)
    equal_outputs(graph, after)


def test_half_precision_tables_stay_half_precision() -> None:
    half: dict[str, Any] = {"w": random(WIDTH, WIDTH, dtype=np.float16), "table": random(1, ROWS, WIDTH, dtype=np.float16)}
    sum_ = [node("Cast", "p", "h", to=TensorProto.FLOAT), node("Add", "x h", "s"), node("MatMul", "s v", "y")]
    graph = positions(linear("rows", "p"), *sum_, v=SQUARE, **half)
    after, rewrites = precompute_sliced.run(graph)
    assert rewrites == 1
    assert "Cast" not in operators(after)
    equal_outputs(graph, after, atol=2e-2)


def test_a_table_that_would_more_than_double_the_model_is_declined_and_says_so() -> None:
    graph = positions(linear("rows", "p"), node("MatMul", "p v", "h"), ADD, w=random(WIDTH, 512), v=random(512, WIDTH))
    wide = positions(
        linear("rows", "p"),
        node("Concat", "p pad", "q", axis=1),
        node("ReduceMean", "q", "h", axes=[1, 2]),
        ADD,
        w=random(WIDTH, 512),
        table=random(1, 400, WIDTH),
        pad=random(1, 1, 512),
    )
    assert precompute_sliced.run(graph)[1] == 1
    with listening() as declined:
        assert precompute_sliced.run(wide)[1] == 0
    assert declined == ["p: its table of 0.8 MB and those before it would more than double the model's 0.0 MB"]


def test_a_slice_of_known_ends_is_left_to_folding() -> None:
    graph = model(
        [node("Slice", "table nought two one", "r"), node("ReduceSum", "r axes", "p", keepdims=0), node("Add", "x p", "y")],
        NUMBERS | {"table": random(1, 4, WIDTH), "axes": ints(0, 1)},
    )
    assert precompute_sliced.run(graph)[1] == 0


def test_negative_steps_and_ends_pick_the_same_rows() -> None:
    picked = [
        node("Neg", "length", "back"),
        node("Slice", "table minus back one minus", "some"),
        linear("some", "p"),
        node("ReduceSum", "p axes", "h", keepdims=1),
        ADD,
    ]
    graph = positions(*picked, minus=ints(-1), w=SQUARE, axes=ints(1))
    after, rewrites = precompute_sliced.run(graph)
    assert rewrites == 1
    equal_outputs(graph, after)


def test_a_table_in_a_constant_node_counts_as_a_constant() -> None:
    held = helper.make_node("Constant", [], ["table"], value=numpy_helper.from_array(random(1, ROWS, WIDTH), "table"))
    graph = model([held, *POSITIONS, linear("rows", "h"), ADD], NUMBERS | {"w": SQUARE}, [value("x", TIME)], [value("y", TIME)], OPSET)
    after, rewrites = precompute_sliced.run(graph)
    assert rewrites == 1
    given = feeds(graph, 3)
    np.testing.assert_allclose(run(after, given)["y"], run(graph, given)["y"], 1e-5, 1e-6)


def test_the_positions_of_every_block_of_the_speech_encoder_are_projected_ahead(tmp_path_factory: pytest.TempPathFactory) -> None:
    graph = exported("wenet_encoder:tiny", cache_folder(tmp_path_factory)).model
    after, rewrites = precompute_sliced.run(graph)
    assert rewrites == 2
    assert operators(graph).count("MatMul") - operators(after).count("MatMul") == 2
    stored = {tensor.name for tensor in after.graph.initializer}
    picked = {made.output[0] for made in after.graph.node if made.op_type == "Slice" and made.input[0] in stored}
    assert [made.op_type for made in after.graph.node if picked & set(made.input)] == ["MatMul", "MatMul"]
