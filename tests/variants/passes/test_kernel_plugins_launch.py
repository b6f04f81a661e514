"""The nodes of every placing pass, read the way TensorRT reads them: attributes by the op's own order, launch, and reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from plugins.discovery import families, versions
from plugins.gpu import TARGETS
from plugins.kernel import Problem
from plugins.tensorrt.bindings import Bindings
from plugins.tensorrt.dry_run import evaluate
from plugins.tensorrt.op import Attribute, Op, bind, ops
from plugins.tensorrt.register import register_all
from tests.plugins.tensorrt import standin
from tests.variants.arithmetic import Term, call, normal, written
from tests.variants.graphs import run, value
from variants.passes.gelu_plugin import gelu_plugin
from variants.passes.skip_layernorm_plugin import skip_layernorm_plugin
from variants.passes.softmax_plugin import softmax_plugin
from variants.passes.swish_plugin import swish_plugin
from variants.plugin_pass import PluginPass, placed
from variants.variant import Array

erf, tanh, softmax, operator = call("Erf"), call("Tanh"), call("Softmax"), call("LayerNormalization")
ONES, BIAS = np.linspace(0.5, 2, 8, dtype=np.float32), np.linspace(3, 4, 8, dtype=np.float32)
SCORES = ("batch", 2, 4, 8)
ONE, TWO = (value("x"),), (value("x"), value("skip"))
MASKED = (value("x", SCORES), value("mask", ("batch", 1, 1, 8)))


@dataclass(frozen=True)
class Placing:
    """A graph that becomes one node of a family, and the integers that its kernel is then handed for three images."""

    plugin: PluginPass
    graph: onnx.ModelProto
    op: str
    extra: tuple[int, ...]


def placing(plugin: PluginPass, formula: Callable[..., Term], op: str, extra: tuple[int, ...], inputs: Any = ONE) -> Placing:
    shape = [dim.dim_param or dim.dim_value for dim in inputs[0].type.tensor_type.shape.dim]
    return Placing(plugin, written(formula, inputs, (value("y", shape),), 17), op, extra)


PLACINGS = {
    "gelu by erf": placing(gelu_plugin, lambda x: x * 0.5 * (1 + erf(x / sqrt(2))), "gelu", (96,)),
    "gelu by tanh": placing(gelu_plugin, lambda x: 0.5 * x * (1 + tanh(sqrt(2 / np.pi) * (x + 0.044715 * x**3.0))), "gelu", (96,)),
    "swish": placing(swish_plugin, lambda x: x * call("Sigmoid")(x), "swish", (96,)),
    "softmax": placing(softmax_plugin, lambda x: softmax(x * 0.25, axis=-1), "softmax", (3, 4, 8)),
    "softmax with a mask": placing(
        softmax_plugin,
        lambda x, m: softmax(x * 0.25 + m, axis=-1),
        "softmax_masked",
        (3, 8, 8),
        (value("x", SCORES), value("mask", ("batch", 1, 1, 8))),
    ),
    "skip": placing(skip_layernorm_plugin, lambda x, s: operator(x + s, ONES, BIAS, epsilon=1e-3), "skip_layernorm", (12, 8), TWO),
    "skip, the sum kept": placing(
        skip_layernorm_plugin, lambda x, s: (lambda t: t + operator(t, ONES))(x + BIAS + s), "skip_layernorm_keep", (12, 8), TWO
    ),
}


@pytest.fixture(scope="module")
def trt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bindings]:
    reason = standin.unavailable()
    if reason:
        pytest.skip(reason)
    with standin.bindings(tmp_path_factory.mktemp("libraries")) as bindings:
        register_all(bindings, TARGETS["sm_90"], lazy=True)
        yield bindings


def around(model: onnx.ModelProto, made: onnx.NodeProto) -> dict[str, Array]:
    """What flows into and out of a node, by name, for three images."""
    seen = onnx.ModelProto.FromString(model.SerializeToString())
    known = {output.name for output in model.graph.output} | {tensor.name for tensor in model.graph.initializer}
    wanted = [name for name in (*made.input, *made.output) if name not in known]
    seen.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in wanted)
    shapes = {i.name: [dim.dim_value or 3 for dim in i.type.tensor_type.shape.dim] for i in model.graph.input}
    feeds = {name: normal(tuple(shape), np.float32, seed) for seed, (name, shape) in enumerate(shapes.items())}
    return run(seen, feeds) | {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer} | feeds


def attributes(op: Op, made: onnx.NodeProto) -> dict[str, Attribute]:
    """TensorRT's parser hands over the registered fields by name, text as str."""
    given = {a.name: helper.get_attribute_value(a) for a in made.attribute}
    return {name: given[name].decode() if kind is str else kind(given[name]) for name, kind in op.attributes.items()}


def told(name: str, version: str) -> tuple[Op, onnx.ModelProto, onnx.NodeProto]:
    chosen = PLACINGS[name]
    model, rewrites = chosen.plugin.at(version).run(chosen.graph)
    assert rewrites == 1
    (made,) = placed(model)
    return next(op for op in ops(families()[chosen.plugin.family]) if op.name == made.op_type), model, made


@pytest.mark.parametrize("name", PLACINGS)
def test_the_attributes_are_those_of_the_op_in_its_order(name: str) -> None:
    op, _, made = told(name, versions(PLACINGS[name].plugin.family)[-1])
    assert made.op_type == PLACINGS[name].op
    assert [a.name for a in made.attribute] == [*op.attributes, "aot", "plugin_namespace"]
    assert (len(made.input), len(made.output)) == (len(op.inputs), len(op.outputs))


@pytest.mark.parametrize("name", PLACINGS)
def test_a_version_is_launched_on_what_flows_into_the_node(trt: Bindings, name: str) -> None:
    version = versions(PLACINGS[name].plugin.family)[0]
    op, model, made = told(name, version)
    flowing = around(model, made)
    shapes = [flowing[given].shape for given in made.input]
    launch = evaluate(trt, op.id, shapes, "float32", attributes(op, made))
    assert launch.extra == PLACINGS[name].extra
    assert launch.output_shapes == tuple(flowing[output].shape for output in made.output)
    assert f".entry {op.family.name}_{version}(".encode() in launch.code


@pytest.mark.parametrize("name", PLACINGS)
def test_the_node_and_the_kernels_float64_reference_mean_the_same(name: str) -> None:
    op, model, made = told(name, versions(PLACINGS[name].plugin.family)[0])
    flowing, said = around(model, made), attributes(op, made)
    dims = bind(op, [flowing[given].shape for given in made.input], lambda a, b: a * b)
    constants = {constant: float(said[constant]) for constant in op.family.constants}
    words = {option: str(said[option]) for option in op.family.options if option in said}
    problem = Problem(dims, "fp32", {**op.settled, **words})
    pairs = zip(op.inputs, made.input, strict=True)
    inputs = {tensor.name: flowing[given].reshape([dims[d] for d in tensor.dims]) for tensor, given in pairs}
    expected = replace(op.family, constants=constants).expect(inputs, problem)
    for tensor, output in zip(op.outputs, made.output, strict=True):
        np.testing.assert_allclose(flowing[output].reshape(expected[tensor.name].shape), expected[tensor.name], 1e-5, 1e-5)
