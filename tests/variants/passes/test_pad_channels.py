"""Which channels are padded, how far the padding reaches, and that nothing of it is seen from outside."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from tests.variants.graphs import SHAPE, WIDTH, body, equal_outputs, model, node, operators, value
from tests.variants.more_graphs import selecting
from tests.variants.more_graphs.ahead import convolutions, ints, products, random
from variants.explain import listening
from variants.passes.pad_channels import pad_channels

ODD = 12
PADDED = 16
IMAGE = ("batch", WIDTH, 5, 5)


def pad(graph: onnx.ModelProto, multiple: str = "8") -> tuple[onnx.ModelProto, int]:
    return pad_channels.at(multiple).run(graph)


def shapes(graph: onnx.ModelProto, rank: int = 2) -> list[tuple[int, ...]]:
    """Of the stored tensors of this rank, in order."""
    stored = {tensor.name: tuple(tensor.dims) for tensor in graph.graph.initializer}
    read = dict.fromkeys(name for made in graph.graph.node for name in made.input)
    return [stored[name] for name in read if name in stored and len(stored[name]) == rank]


def hidden(*between: onnx.NodeProto, shape: tuple[str | int, ...] = SHAPE, **constants: Any) -> onnx.ModelProto:
    """x -> h of 12 channels, `between` makes g of it, -> y of 8."""
    nodes = [node("MatMul", "x w", "h"), *between, node("MatMul", "g v", "y")]
    held = {"w": random(WIDTH, ODD), "v": random(ODD, WIDTH)} | constants
    return model(nodes, held, [value("x", shape)], [value("y", shape)], opset=20)


BETWEEN: dict[str, tuple[list[onnx.NodeProto], dict[str, Any]]] = {
    "an activation that is not zero at zero": ([node("Sigmoid", "h", "g")], {}),
    "a bias of each channel": ([node("Add", "b h", "g")], {"b": random(ODD)}),
    "a number for all": ([node("Add", "h b", "s"), node("Cos", "s", "g")], {"b": np.float32(3)}),
    "a division by each channel's scale": ([node("Div", "h b", "g")], {"b": np.abs(random(ODD)) + 1}),
    "an activation of the product by itself": ([node("Sigmoid", "h", "s"), node("Mul", "h s", "g")], {}),
    "the GELU in five nodes": (
        [
            node("Div", "h root", "d"),
            node("Erf", "d", "e"),
            node("Add", "e one_", "o"),
            node("Mul", "h o", "m"),
            node("Mul", "m half", "g"),
        ],
        {"root": np.float32(2**0.5), "one_": np.float32(1), "half": np.float32(0.5)},
    ),
    "a square": ([node("Pow", "h two", "g")], {"two": np.float32(2)}),
    "a sum of two products": ([node("MatMul", "x w2", "k"), node("Relu", "k", "r"), node("Add", "h r", "g")], {"w2": random(WIDTH, ODD)}),
    "a product and what it was made of": ([node("MatMul", "h u", "k"), node("Add", "h k", "g")], {"u": random(ODD, ODD)}),
}


@pytest.mark.parametrize("form", BETWEEN)
def test_channels_are_padded_through_what_works_on_each_alone(form: str) -> None:
    between, constants = BETWEEN[form]
    graph = hidden(*between, **constants)
    after, rewrites = pad(graph)
    assert rewrites == 1
    assert operators(after) == operators(graph)
    assert all(ODD not in shape for rank in (1, 2) for shape in shapes(after, rank))
    onnx.checker.check_model(after, full_check=True)
    equal_outputs(graph, after)
    assert pad(after) == (after, 0)


@pytest.mark.parametrize(("multiple", "widths"), [("8", [8, 24]), ("16", [16, 32]), ("32", [32, 32])])
def test_each_width_goes_up_to_the_multiple(multiple: str, widths: list[int]) -> None:
    graph = products([5 if multiple == "8" else 12 if multiple == "16" else 17, 20])
    after, rewrites = pad(graph, multiple)
    assert rewrites == 2
    assert shapes(after) == [(WIDTH, widths[0]), (widths[0], widths[1]), (widths[1], WIDTH)]
    equal_outputs(graph, after, atol=1e-4)


def test_the_first_option_is_taken_without_a_word() -> None:
    assert shapes(pad_channels.run(products([20]))[0]) == [(WIDTH, 24), (24, WIDTH)]


def test_convolutions_are_padded_with_their_biases() -> None:
    graph = convolutions([5, 12])
    after, rewrites = pad(graph, "8")
    assert rewrites == 2
    assert shapes(after, 4) == [(8, WIDTH, 3, 3), (16, 8, 3, 3), (WIDTH, 16, 1, 1)]
    equal_outputs(graph, after, atol=1e-4)


def test_a_convolution_of_each_channel_alone_gets_more_groups() -> None:
    nodes = [
        node("Conv", "x w", "h"),
        node("Conv", "h d b", "g", group=ODD, pads=[1, 1, 1, 1]),
        node("MaxPool", "g", "p", kernel_shape=[1, 1]),
    ]
    held = {"w": random(ODD, WIDTH, 1, 1), "d": random(ODD, 1, 3, 3), "b": random(ODD), "v": random(WIDTH, ODD, 1, 1)}
    graph = model([*nodes, node("Conv", "p v", "y")], held, [value("x", IMAGE)], [value("y", IMAGE)])
    after, rewrites = pad(graph)
    assert rewrites == 1
    assert shapes(after, 4) == [(PADDED, WIDTH, 1, 1), (PADDED, 1, 3, 3), (WIDTH, PADDED, 1, 1)]
    equal_outputs(graph, after, atol=1e-4)


@pytest.mark.parametrize("turned", [0, 1])
def test_a_gemm_is_padded_however_its_weights_lie(turned: int) -> None:
    w, v = random(WIDTH, ODD), random(ODD, WIDTH)
    held = {"w": w.T.copy() if turned else w, "v": v.T.copy() if turned else v, "b": random(ODD), "c": random(WIDTH)}
    nodes = [node("Gemm", "x w b", "h", transB=turned), node("Relu", "h", "g"), node("Gemm", "g v c", "y", transB=turned)]
    graph = model(nodes, held, [value("x", ("batch", WIDTH))], [value("y", ("batch", WIDTH))])
    after, rewrites = pad(graph)
    assert rewrites == 1
    assert sorted(shapes(after)) == sorted([(PADDED, WIDTH), (WIDTH, PADDED)])
    equal_outputs(graph, after, atol=1e-4)


def test_half_precision_stays_half_precision() -> None:
    cast = [
        node("Cast", "x", "xh", to=TensorProto.FLOAT16),
        node("MatMul", "xh w", "h"),
        node("Relu", "h", "g"),
        node("MatMul", "g v", "z"),
    ]
    held = {"w": random(WIDTH, ODD, dtype=np.float16), "v": random(ODD, WIDTH, dtype=np.float16)}
    graph = model([*cast, node("Cast", "z", "y", to=TensorProto.FLOAT)], held)
    after, rewrites = pad(graph)
    assert rewrites == 1
    assert {tensor.data_type for tensor in after.graph.initializer} == {TensorProto.FLOAT16}
    equal_outputs(graph, after, atol=2e-2)


DECLINED: dict[str, tuple[list[onnx.NodeProto], dict[str, Any]]] = {
    "a norm over the channels": ([node("LayerNormalization", "h scale", "g", axis=-1)], {"scale": random(ODD)}),
    "a softmax over the channels": ([node("Softmax", "h", "g", axis=-1)], {}),
    "heads": ([node("Reshape", "h parted", "r"), node("Reshape", "r whole", "g")], {"parted": ints(0, 0, 3, 4), "whole": ints(0, 0, ODD)}),
    "a quotient by what is not known": ([node("Sigmoid", "h", "s"), node("Div", "h s", "g")], {}),
    "a root, which is no number for what is below zero": ([node("Abs", "h", "a"), node("Sqrt", "a", "g")], {}),
}


@pytest.mark.parametrize("form", DECLINED)
def test_what_mixes_the_channels_keeps_them_and_says_so(form: str) -> None:
    between, constants = DECLINED[form]
    with listening() as declined:
        assert pad(hidden(*between, **constants))[1] == 0
    assert declined


def test_a_last_product_whose_result_would_have_to_be_cropped_stays() -> None:
    graph = products([], last=10)
    with listening() as declined:
        assert pad(graph) == (graph, 0)
    assert declined == ["h0: Slices that crop its 10 channels again: 1, products that would be aligned: 1"]


def test_more_than_twice_the_channels_is_too_many() -> None:
    with listening() as declined:
        assert pad(products([3]))[1] == 0
    assert declined == ["h0: 3 channels would become 8, more than twice as many"]


def many_products(*more: onnx.NodeProto, outputs: tuple[onnx.ValueInfoProto, ...] = (value("y"),), **constants: Any) -> onnx.ModelProto:
    """Three products read h of 12 channels, and so do `more`."""
    reading = [node("MatMul", f"h v{i}", f"k{i}") for i in range(3)]
    summed = [node("Add", "k0 k1", "k01"), node("Add", "k01 k2", "k")]
    held = {f"v{i}": random(ODD, WIDTH, seed=i) for i in range(3)} | {"w": random(WIDTH, ODD)} | constants
    return model([node("MatMul", "x w", "h"), *reading, *summed, *more], held, outputs=outputs)


def test_one_more_reader_gets_the_channels_cropped() -> None:
    softmax = [node("Softmax", "h", "s", axis=-1), node("ReduceSum", "s axes", "t", keepdims=1), node("Add", "k t", "y")]
    graph = many_products(*softmax, axes=ints(-1))
    after, rewrites = pad(graph)
    assert rewrites == 1
    assert operators(after).count("Slice") == 1
    equal_outputs(graph, after, atol=1e-4)


def test_an_output_in_the_middle_keeps_its_channels_and_its_name() -> None:
    graph = many_products(node("Relu", "k", "y"), outputs=(value("y"), value("h", ("batch", 4, ODD))))
    after, rewrites = pad(graph)
    assert rewrites == 1
    assert [d.dim_value for d in after.graph.output[1].type.tensor_type.shape.dim][1:] == [4, ODD]
    equal_outputs(graph, after, atol=1e-4)


def test_a_branch_reads_the_channels_as_they_were() -> None:
    branches = {
        "then_branch": body("then", [node("ReduceMean", "h", "m", axes=[-1]), node("Add", "k m", "t")], [value("t")]),
        "else_branch": body("else", [node("ReduceMean", "h", "n", axes=[-1]), node("Sub", "k n", "e")], [value("e")]),
    }
    nodes = [node("ReduceSum", "x", "sum", keepdims=0), node("Greater", "sum nought", "positive"), node("If", "positive", "y", **branches)]
    graph = many_products(*nodes, nought=np.float32(0))
    after, rewrites = pad(graph)
    assert rewrites == 1
    equal_outputs(graph, after, atol=1e-4)


def test_weights_that_two_products_share_are_padded_once() -> None:
    nodes = [node("MatMul", "x w", "h"), node("Relu", "h", "g"), node("MatMul", "g v", "p"), node("MatMul", "p w", "k")]
    nodes += [node("Relu", "k", "l"), node("MatMul", "l v", "y")]
    graph = model(nodes, {"w": random(WIDTH, ODD), "v": random(ODD, WIDTH)})
    after, rewrites = pad(graph)
    assert rewrites == 2
    equal_outputs(graph, after, atol=1e-3)


def test_a_product_of_two_tensors_of_the_run_is_no_product_by_weights() -> None:
    nodes = [node("Transpose", "x", "t", perm=[0, 2, 1]), node("MatMul", "x t", "s"), node("MatMul", "s x", "y")]
    graph = model(nodes)
    assert pad(graph) == (graph, 0)


def test_the_new_weights_are_zero() -> None:
    after, _ = pad(products([20], bias=True), "32")
    arrays = {tuple(tensor.dims): numpy_helper.to_array(tensor) for tensor in after.graph.initializer}
    assert not arrays[(WIDTH, 32)][:, 20:].any()
    assert not arrays[(32, WIDTH)][20:].any()
    assert not arrays[(32,)][20:].any()


def test_between_two_products_whose_shape_onnx_does_not_know_a_constant_is_widened_at_the_right_axis() -> None:
    """Behind a Reshape to computed sizes onnx's inference knows no shape; the symbolic one does."""
    before = selecting.Encoder(index=[1, 3], norm="nodes", opset=13, target="computed").model()
    after, rewrites = pad_channels.at("16").run(before)
    assert rewrites > 0
    equal_outputs(before, after)
