"""From the exported model to the launch: the node that the pass places, read the way TensorRT reads it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from onnx import helper

from plugins.discovery import families, versions
from plugins.gpu import TARGETS
from plugins.kernel import Problem
from plugins.tensorrt.bindings import Bindings
from plugins.tensorrt.dry_run import evaluate
from plugins.tensorrt.op import Attribute, Op, ops
from plugins.tensorrt.register import register_all
from tests.plugins.tensorrt import standin
from tests.variants.graphs import run
from variants.models.vit_digits import vit_digits
from variants.passes.layernorm_plugin import layernorm_plugin
from variants.plugin_pass import placed
from variants.variant import Array

OPS = {op.name: op for op in ops(families()["layernorm"])}
VERSIONS = versions("layernorm")
BATCH = 3


@pytest.fixture(scope="module")
def trt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bindings]:
    reason = standin.unavailable()
    if reason:
        pytest.skip(reason)
    with standin.bindings(tmp_path_factory.mktemp("libraries")) as bindings:
        register_all(bindings, TARGETS["sm_90"], lazy=True)
        yield bindings


def around(model: onnx.ModelProto, node: onnx.NodeProto) -> dict[str, Array]:
    """What really flows into and out of a node, by name, on test images."""
    seen = onnx.ModelProto.FromString(model.SerializeToString())
    wanted = [name for name in (node.input[0], *node.output) if name not in {o.name for o in model.graph.output}]
    seen.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in wanted)
    flowing = run(seen, {"images": vit_digits.inputs("test")["images"][:BATCH]})
    return flowing | {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def attributes(op: Op, node: onnx.NodeProto) -> dict[str, Attribute]:
    """TensorRT's parser hands over the registered fields by name, text as str."""
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return {name: given[name].decode() if kind is str else kind(given[name]) for name, kind in op.attributes.items()}


@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
def test_a_version_is_launched_on_the_rows_of_vit_digits(trt: Bindings, vit: onnx.ModelProto, version: str) -> None:
    model, _ = layernorm_plugin.at(version).run(vit)
    node = placed(model)[0]
    flowing, op = around(model, node), OPS[node.op_type]
    x, gamma, beta = (flowing[name] for name in node.input)
    launch = evaluate(trt, op.id, [x.shape, gamma.shape, beta.shape], "float32", attributes(op, node))
    rows, cols = x.size // x.shape[-1], x.shape[-1]
    assert launch.extra == (rows, cols)
    assert launch.output_shapes == (x.shape,)
    assert f".entry layernorm_{version}(".encode() in launch.code
    assert rows * cols > 0 < np.prod(launch.grid) * np.prod(launch.block)


def test_the_model_and_the_kernels_float64_reference_mean_the_same_layernorm(vit: onnx.ModelProto) -> None:
    model, _ = layernorm_plugin.at("v5_hopper").run(vit)
    node = placed(model)[-1]
    flowing, op = around(model, node), OPS[node.op_type]
    x = flowing[node.input[0]]
    problem = Problem({"rows": x.size // x.shape[-1], "cols": x.shape[-1]}, "fp32", op.settled)
    inputs = dict(zip(("x", "gamma", "beta"), (flowing[name] for name in node.input), strict=True))
    expected = op.family.expect(inputs | {"x": x.reshape(-1, x.shape[-1])}, problem)["y"]
    np.testing.assert_allclose(flowing[node.output[0]].reshape(expected.shape), expected, 1e-5, 1e-5)
