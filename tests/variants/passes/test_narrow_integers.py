"""Which integers become 32-bit ones, which stay, and that results are the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from tests.variants.graphs import WIDTH, body, equal_outputs, feeds, model, node, operators, run, value
from tests.variants.more_graphs.ahead import TIME, ints, random
from variants.explain import listening
from variants.passes.narrow_integers import narrow_integers

OPSET = 13
TIMES = (node("Shape", "x", "sizes"), node("Gather", "sizes second", "time_", axis=0))
PLACES = (*TIMES, node("Range", "zero time_ single", "places"))
HELD: dict[str, Any] = {"second": np.int64(1), "zero": np.int64(0), "single": np.int64(1), "one": ints(1), "two": ints(2)}


def graph(*nodes: onnx.NodeProto, inputs: tuple[onnx.ValueInfoProto, ...] = (), **constants: Any) -> onnx.ModelProto:
    """x [batch, time, 8] -> y; `places` are 0 .. time - 1."""
    held = HELD | constants
    read = {name for made in (*PLACES, *nodes) for name in made.input} | set(constants)
    made = {name: array for name, array in held.items() if name in read}
    return model([*PLACES, *nodes], made, [value("x", TIME), *inputs], [value("y", TIME)], OPSET)


def types(after: onnx.ModelProto) -> dict[str, int]:
    known = onnx.shape_inference.infer_shapes(after).graph
    stored = {tensor.name: tensor.data_type for tensor in known.initializer}
    return stored | {v.name: v.type.tensor_type.elem_type for v in (*known.value_info, *known.input, *known.output)}


def masked(*more: onnx.NodeProto, **constants: Any) -> onnx.ModelProto:
    """y = x where the place of a row is below 3 after `more` made `p` of the places."""
    last = [node("Unsqueeze", "p one", "column"), node("Less", "column three", "early"), node("Where", "early x nought", "y")]
    return graph(*more, *last, three=np.int64(3), nought=np.float32(0), **constants)


NARROWED = {
    "positions that are compared": masked(node("Add", "places two", "p")),
    "positions that pick rows": graph(
        node("Mul", "places two", "q"), node("Gather", "table q", "rows"), node("Add", "x rows", "y"), table=random(40, WIDTH)
    ),
    "positions by a quotient and a remainder": masked(
        node("Div", "places two", "d"), node("Mod", "places two", "m"), node("Add", "d m", "p")
    ),
    "positions that are moved": masked(
        node("Unsqueeze", "places one", "c"),
        node("Concat", "c c", "cc", axis=1),
        node("Slice", "cc one two one", "s"),
        node("Squeeze", "s one", "p"),
    ),
    "positions chosen by a condition": masked(
        node("Less", "places five", "few"), node("Where", "few places zero", "chosen"), node("Add", "chosen two", "p"), five=np.int64(5)
    ),
}


@pytest.mark.parametrize("form", NARROWED)
def test_positions_become_32_bit_integers(form: str) -> None:
    before = NARROWED[form]
    after, rewrites = narrow_integers.run(before)
    assert rewrites > 0
    assert types(after)["places"] == TensorProto.INT32
    onnx.checker.check_model(after, full_check=True)
    equal_outputs(before, after)
    assert narrow_integers.run(after)[1] == 0


def test_shapes_stay_64_bits_wide() -> None:
    nodes = [node("Concat", "count rest", "target", axis=0), node("Reshape", "x target", "y")]
    before = graph(node("Gather", "sizes nought", "count", axis=0), *nodes, nought=ints(0), rest=ints(-1, WIDTH))
    assert narrow_integers.run(before) == (before, 0)


def test_inputs_and_outputs_keep_their_type() -> None:
    nodes = [
        *TIMES,
        node("Range", "zero time_ single", "places"),
        node("Add", "places two", "p"),
        node("Add", "p two", "z"),
        node("Relu", "x", "y"),
    ]
    outputs = [value("y", TIME), value("z", ("time",), TensorProto.INT64)]
    before = model(nodes, {k: HELD[k] for k in ("second", "zero", "single", "two")}, [value("x", TIME)], outputs, OPSET)
    after, _ = narrow_integers.run(before)
    assert types(after)["z"] == TensorProto.INT64
    given = feeds(before, 4)
    np.testing.assert_array_equal(run(after, given)["z"], run(before, given)["z"])


def test_a_cast_up_from_32_bits_goes() -> None:
    lengths = value("lengths", ("batch",), TensorProto.INT32)
    nodes = [
        node("Cast", "lengths", "wide", to=TensorProto.INT64),
        node("Unsqueeze", "wide one", "column"),
        node("Less", "places column", "inside"),
    ]
    nodes += [node("Unsqueeze", "inside two", "mask"), node("Where", "mask x nought", "y")]
    before = graph(*nodes, inputs=(lengths,), nought=np.float32(0))
    after, rewrites = narrow_integers.run(before)
    assert rewrites > 0
    assert TensorProto.INT64 not in [made.attribute[0].i for made in after.graph.node if made.op_type == "Cast"]
    given = {"x": random(2, 5, WIDTH), "lengths": np.array([2, 5], np.int32)}
    np.testing.assert_array_equal(run(after, given)["y"], run(before, given)["y"])


def test_what_may_not_fit_stays_and_is_named() -> None:
    """The places squared reach 2^60, and a comparison wants their value."""
    before = masked(node("Mul", "places places", "p"))
    with listening() as declined:
        after, rewrites = narrow_integers.run(before)
    assert rewrites == 0
    assert after is before
    assert "p: its values are not proven to fit 32 bits" in declined


def test_a_constant_that_does_not_fit_stays() -> None:
    before = masked(node("Add", "places far", "p"), far=np.int64(2**40))
    assert types(narrow_integers.run(before)[0])["p"] == TensorProto.INT64


def test_a_constant_that_does_not_fit_stays_even_where_the_result_would() -> None:
    before = masked(node("Min", "places far", "p"), far=np.int64(2**40 + 1))
    after, _ = narrow_integers.run(before)
    assert types(after)["p"] == TensorProto.INT64
    equal_outputs(before, after)


def test_an_index_is_right_whatever_overflows_on_the_way_to_it() -> None:
    """(i * 2^20) * 2^20 - (i * 2^20) * 2^20 + i: modulo 2^32 it is i."""
    nodes = [node("Mul", "places big", "a"), node("Mul", "a big", "b"), node("Sub", "b b", "c"), node("Add", "c places", "i")]
    before = graph(*nodes, node("Gather", "table i", "rows"), node("Add", "x rows", "y"), big=np.int64(2**20), table=random(8, WIDTH))
    after, rewrites = narrow_integers.run(before)
    assert rewrites > 0
    assert types(after)["b"] == TensorProto.INT32
    equal_outputs(before, after)


def test_one_lookup_of_an_input_is_not_worth_a_cast() -> None:
    ids = value("ids", ("batch", "time"), TensorProto.INT64)
    before = graph(node("Gather", "table ids", "rows"), node("Add", "x rows", "y"), inputs=(ids,), table=random(8, WIDTH))
    assert narrow_integers.run(before) == (before, 0)


def test_a_reader_in_a_branch_still_gets_64_bits() -> None:
    then = [node("Gather", "table_ p", "r"), node("Add", "x r", "t")]
    otherwise = [node("Cast", "p", "f", to=TensorProto.FLOAT), node("ReduceSum", "f", "s", keepdims=0), node("Add", "x s", "e")]
    branches = {"then_branch": body("then", then, [value("t", TIME)]), "else_branch": body("else", otherwise, [value("e", TIME)])}
    nodes = [node("Add", "places two", "h"), node("Sub", "h one", "m"), node("Sub", "m two", "k"), node("Add", "k two", "p")]
    nodes += [node("ReduceSum", "x", "sum", keepdims=0), node("Greater", "sum nought", "positive"), node("If", "positive", "y", **branches)]
    before = graph(*nodes, nought=np.float32(0), table_=random(40, WIDTH))
    after, _ = narrow_integers.run(before)
    onnx.checker.check_model(after, full_check=True)
    equal_outputs(before, after)


def test_half_of_the_graph_that_stays_wide_reads_through_a_cast() -> None:
    nodes = [node("Add", "places two", "h"), node("Sub", "h one", "m"), node("Sub", "m two", "k"), node("Gather", "table k", "rows")]
    nodes += [
        node("OneHot", "k depth values", "hot"),
        node("MatMul", "hot spread", "n"),
        node("Add", "x rows", "s"),
        node("Add", "s n", "y"),
    ]
    held: dict[str, Any] = {
        "depth": np.int64(4),
        "values": np.array([0, 1], np.float32),
        "spread": random(4, WIDTH),
        "table": random(40, WIDTH),
    }
    before = graph(*nodes, **held)
    after, rewrites = narrow_integers.run(before)
    assert rewrites > 0
    assert operators(after).count("Cast") == 2
    equal_outputs(before, after)
