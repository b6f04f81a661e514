"""Which LayerNorms become a plugin node, what the node says, and that the model still computes the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from common.discover import Declared, discover
from tests.variants.graphs import WIDTH, Norm, affine, branch, equal_outputs, layernorm, model, node, operators, run, value
from variants.models.vit_digits import vit_digits
from variants.passes.layernorm_plugin import layernorm_plugin
from variants.plugin_pass import bare, placed
from variants.precision import Precision
from variants.precisions.fp16 import fp16

PLACE = layernorm_plugin.at("v5_hopper")
# One of each element type: the int8s differ in their thresholds alone, and each calibrates for a second and more.
PRECISIONS = {declared.value.dtype: declared for declared in discover("variants.precisions", Precision).values()}.values()
WEIGHTS = {"scale": affine()["scale"], "bias": affine()["bias"]}
NINE_OF_TWO_AXES = replace(Norm(), axes=(-2, -1))
SQUARE = {"scale": np.arange(32, dtype=np.float32).reshape(4, 8), "bias": np.ones((4, 8), np.float32)}


def fused(inputs: str = "x scale bias", outputs: str = "y", constants: dict[str, Any] | None = None, **attributes: Any) -> onnx.ModelProto:
    """A model that is one LayerNormalization."""
    held = WEIGHTS | (constants or {})
    given = {name: held[name] for name in inputs.split()[1:]}
    return model([node("LayerNormalization", inputs, outputs, **attributes)], given, opset=17)


def attributes(made: onnx.NodeProto) -> dict[str, Any]:
    return {a.name: helper.get_attribute_value(a) for a in made.attribute}


REPLACED = {
    "nine nodes": layernorm(),
    "nine nodes, opset 18": layernorm(replace(Norm(), axes_are_inputs=True), opset=18),
    "fused": fused(axis=-1),
    "fused, the axis left out": fused(),
    "fused, the last axis counted from the front": fused(axis=2),
    "fused, statistics that nobody reads": fused(outputs="y mean deviation"),
    "fused, no bias": fused("x scale"),
}


@pytest.mark.parametrize("form", REPLACED)
def test_a_layernorm_of_the_last_axis_becomes_the_plugin_node(form: str) -> None:
    after, rewrites = PLACE.run(REPLACED[form])
    assert (rewrites, operators(after)) == (1, ["layernorm_affine"])
    assert len(after.graph.node[0].input) == 3
    onnx.checker.check_model(after, full_check=True)
    equal_outputs(REPLACED[form], after)


def test_the_node_says_what_tensorrt_looks_for() -> None:
    (made,) = placed(PLACE.run(fused(epsilon=1e-3))[0])
    assert (made.op_type, made.domain) == ("layernorm_affine", "trtbench")
    said = attributes(made)
    assert said.pop("eps") == pytest.approx(1e-3)
    assert said == {"version": b"v5_hopper", "aot": 1, "plugin_namespace": b"trtbench"}


def test_the_epsilon_of_nine_nodes_reaches_kernel_and_function() -> None:
    graph = layernorm(epsilon=np.float32(0.5))
    after, _ = PLACE.run(graph)
    assert attributes(placed(after)[0])["eps"] == 0.5
    equal_outputs(graph, after)


def test_a_scale_of_ones_and_a_bias_of_zeros_need_no_weights() -> None:
    ones, zeros = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)
    for graph in (
        fused("x scale", constants={"scale": ones}),
        fused(constants={"scale": ones, "bias": zeros}),
        layernorm(scale=ones, bias=zeros),
    ):
        after, _ = PLACE.run(graph)
        assert [(made.op_type, len(made.input)) for made in placed(after)] == [("layernorm", 1)]
        equal_outputs(graph, after)


def test_the_functions_are_of_the_graphs_own_opset() -> None:
    graph = model([node("LayerNormalization", "x scale", "y")], {"scale": [1.0] * WIDTH}, opset=21)
    equal_outputs(graph, PLACE.run(graph)[0])


def test_ones_with_a_bias_keep_both_weights() -> None:
    after, _ = PLACE.run(fused(constants={"scale": np.ones(WIDTH, np.float32)}))
    assert operators(after) == ["layernorm_affine"]


LEFT_ALONE = {
    "two axes, fused": fused(axis=1, constants=SQUARE),
    "two axes, nine nodes": layernorm(NINE_OF_TWO_AXES, scale=SQUARE["scale"], bias=SQUARE["bias"]),
    "statistics in the tensor's own type": fused(stash_type=0),
    "a mean that is read": model([node("LayerNormalization", "x scale bias", "h mean"), node("Sub", "h mean", "y")], WEIGHTS, opset=17),
    "a mean that is an output": model(
        [node("LayerNormalization", "x scale bias", "y mean")],
        WEIGHTS,
        outputs=[value("y"), value("mean", ("batch", 4, 1))],
        opset=17,
    ),
    "a scale that is broadcast": fused(constants={"scale": np.full(1, 2, np.float32)}),
    "columns only": model(
        [node("LayerNormalization", "x scale bias", "y")], WEIGHTS, [value("x", (WIDTH,))], [value("y", (WIDTH,))], opset=17
    ),
    "float64": model(
        [node("LayerNormalization", "x scale bias", "y")],
        {name: array.astype(np.float64) for name, array in WEIGHTS.items()},
        [value("x", dtype=TensorProto.DOUBLE)],
        [value("y", dtype=TensorProto.DOUBLE)],
        opset=17,
    ),
    "inside an If": branch([node("Relu", "x", "t")], [*Norm(output="e").nodes()], **affine()),
}


@pytest.mark.parametrize("form", LEFT_ALONE)
def test_what_a_kernel_does_not_compute_is_left_alone(form: str) -> None:
    after, rewrites = PLACE.run(LEFT_ALONE[form])
    assert rewrites == 0
    assert after == LEFT_ALONE[form]


def test_versions_differ_in_the_version_alone() -> None:
    one, other = (layernorm_plugin.at(version).run(layernorm())[0] for version in ("v1_tree", "v5_hopper"))
    assert one != other
    for made in (*one.graph.node, *other.graph.node):
        next(a for a in made.attribute if a.name == "version").s = b""
    assert one == other


def test_in_fp16_a_plugin_takes_and_gives_fp16_without_casts(vit: onnx.ModelProto) -> None:
    after = fp16.apply(PLACE.run(vit)[0], ())
    types = {tensor.name: tensor.data_type for tensor in after.graph.initializer}
    casts = {name for made in after.graph.node if made.op_type == "Cast" for name in (*made.input, *made.output)}
    assert len(placed(after)) == 13
    for made in placed(after):
        assert [types[name] for name in made.input[1:]] == [TensorProto.FLOAT16] * 2
        assert not casts & {*made.input, *made.output}


@pytest.mark.parametrize("declared", PRECISIONS, ids=lambda declared: declared.name)
def test_each_kind_of_precision_takes_the_model_and_keeps_its_kernels(declared: Declared[Precision], vit: onnx.ModelProto) -> None:
    precision, graph = declared.value, PLACE.run(vit)[0]
    ranges = precision.calibrate(graph, vit_digits.inputs("calibration")) if precision.calibrate else ()
    after = precision.apply(graph, ranges)
    onnx.checker.check_model(after)
    assert len(placed(after)) == 13
    if precision.dtype == TensorProto.BFLOAT16:
        return  # ONNX Runtime's CPU provider computes little in bf16
    given = {"images": vit_digits.inputs("test")["images"][:64]}
    expected, error = (run(vit, given)["logits"], run(after, given)["logits"] - run(vit, given)["logits"])
    assert 10 * np.log10(np.square(expected).sum() / np.square(error).sum()) >= precision.min_snr_db


def test_without_its_functions_the_model_computes_nothing_in_the_plugins_place() -> None:
    after, _ = PLACE.run(layernorm())
    assert [function.name for function in after.functions] == ["layernorm_affine"]
    stripped = bare(after)
    assert not stripped.functions
    assert stripped.graph == after.graph
    assert after.functions, "the argument is not changed"
