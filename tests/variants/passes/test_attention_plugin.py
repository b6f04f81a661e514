"""Which attention becomes a plugin node, what the node says, and that the model still computes the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from plugins.discovery import families, versions
from plugins.kernel import Problem
from plugins.tensorrt.op import bind, ops
from tests.variants.graphs import model, node, operators, run, value
from tests.variants.more_graphs.attention import HEADS, LENGTH, Form, feeds
from variants.explain import listening
from variants.passes.attention_plugin import attention_plugin
from variants.plugin_pass import bare, placed

PLACE = attention_plugin.at("v2_fused")
PLAIN = Form(size=64)
OPS = {op.name: op for op in ops(families()["attention"])}
KEYS = ("batch", 1, 1, LENGTH)


def spread(by_query: bool = False) -> onnx.ModelProto:
    """The mask as transformers spreads it: places of queries, at least 0 (or a place of the key), and keys that count."""
    form = replace(PLAIN, mask="added", mask_shape=(1, 1, LENGTH, LENGTH))
    made = [
        node("Range", "nought_64 length one_64", "places"),
        node("Unsqueeze", "places axes", "rows"),
        node("GreaterOrEqual", f"rows {'two_64' if by_query else 'nought_64'}", "allowed"),
        node("And", "allowed count", "both"),
        node("Expand", "both whole", "wide"),
        node("Where", "wide zero lowest", "mask"),
    ]
    held = {
        "nought_64": np.int64(0),
        "one_64": np.int64(1),
        "two_64": np.int64(2),
        "length": np.int64(LENGTH),
        "axes": np.array([0, 1, 3], np.int64),
    }
    held |= {"whole": np.array([1, 1, LENGTH, LENGTH], np.int64), "zero": np.float32(0), "lowest": np.finfo(np.float32).min}
    inputs = [value("x", ("batch", LENGTH, 2 * 64)), value("count", KEYS, TensorProto.BOOL)]
    return model([*made, *form.nodes()], form.constants() | held, inputs, [value("y", ("batch", LENGTH, 2 * 64))])


PLACED: dict[str, tuple[onnx.ModelProto, str]] = {
    "without a mask": (PLAIN.model(), "attention"),
    "both sides scaled": (replace(PLAIN, scale="both", key="scaled between").model(), "attention"),
    "a mask over keys that is added": (replace(PLAIN, mask="added", mask_shape=KEYS).model(), "attention_masked"),
    "a mask of one row for the batch": (replace(PLAIN, mask="added", mask_shape=(1, 1, 1, LENGTH)).model(), "attention_masked"),
    "a boolean mask over keys": (replace(PLAIN, mask="filled", mask_shape=KEYS).model(), "attention_masked"),
    "a boolean mask, weights zeroed": (replace(PLAIN, mask="filled and zeroed", mask_shape=KEYS).model(), "attention_masked"),
    "a search for NaN": (replace(PLAIN, mask="nan guard", mask_shape=KEYS).model(), "attention_masked"),
    "one projection for three": (replace(PLAIN, packed="split").model(), "attention"),
    "a mask over keys that was spread over queries": (spread(), "attention_masked"),
}


def compare(before: onnx.ModelProto, after: onnx.ModelProto) -> None:
    onnx.checker.check_model(after, full_check=True)
    for batch in (1, 3):
        given = feeds(before, batch)
        wanted, got = run(before, given)["y"], run(after, given)["y"]
        np.testing.assert_array_equal(np.isnan(got), np.isnan(wanted))
        np.testing.assert_allclose(got, wanted, 1e-4, 1e-4)


@pytest.mark.parametrize("form", PLACED)
def test_attention_with_heads_of_64_becomes_the_plugin_node(form: str) -> None:
    before, op = PLACED[form]
    after, rewrites = PLACE.run(before)
    assert (rewrites, [made.op_type for made in placed(after)]) == (1, [op])
    assert "Softmax" not in operators(after)
    compare(before, after)
    assert PLACE.run(after) == (after, 0)


@pytest.mark.parametrize("form", PLACED)
def test_the_node_is_what_the_kernels_take(form: str) -> None:
    (made,) = placed(PLACE.run(PLACED[form][0])[0])
    op = OPS[made.op_type]
    said = {a.name: helper.get_attribute_value(a) for a in made.attribute}
    assert [*said][: len(op.attributes)] == [*op.attributes]
    assert said.pop("scale") == pytest.approx(64**-0.5)
    assert said == {"version": b"v2_fused", "aot": 1, "plugin_namespace": b"trtbench"}
    assert len(made.input) == len(op.inputs)


def test_what_flows_through_the_node_has_the_kernels_shapes_and_the_references_values() -> None:
    before = replace(PLAIN, mask="added", mask_shape=(1, 1, 1, LENGTH)).model()
    after, _ = PLACE.run(before)
    (made,) = placed(after)
    after.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in (*made.input, *made.output))
    flowing = run(after, feeds(before, 3))
    op, given = OPS[made.op_type], [flowing[name] for name in made.input]
    assert bind(op, [one.shape for one in given], lambda a, b: a * b) == {"batch": 3, "heads": HEADS, "seq": LENGTH, "width": 64}
    scale = next(a.f for a in made.attribute if a.name == "scale")
    family = replace(op.family, constants={"scale": scale})
    problem = Problem({"batch": 3, "heads": HEADS, "seq": LENGTH, "width": 64}, "fp32", {"masked": True})
    expected = family.expect(dict(zip(("q", "k", "v", "mask"), given, strict=True)), problem)["y"]
    np.testing.assert_allclose(flowing[made.output[0]], expected, 1e-3, 1e-3)  # scores of some hundred, of which exp keeps 4 digits


def test_every_version_that_is_one_launch_may_be_named() -> None:
    assert {"v2_fused", "v3_hopper"} <= set(versions("attention"))
    one, other = (attention_plugin.at(version).run(PLAIN.model())[0] for version in ("v2_fused", "v3_hopper"))
    assert one != other


def test_without_its_functions_the_model_computes_nothing_in_the_plugins_place() -> None:
    after, _ = PLACE.run(PLAIN.model())
    assert [function.name for function in after.functions] == ["attention"]
    assert not bare(after).functions


def _read_elsewhere() -> onnx.ModelProto:
    outputs = [value("y", ("batch", LENGTH, 128)), value("weights", ("batch", HEADS, LENGTH, LENGTH))]
    return PLAIN.model(outputs=outputs)


LEFT_ALONE: dict[str, tuple[Any, str]] = {
    "heads of another size": (Form().model(), "written for 64"),
    "a mask by query": (replace(PLAIN, mask="added", mask_shape=("batch", 1, LENGTH, LENGTH)).model(), "from query to query"),
    "a mask by head": (replace(PLAIN, mask="added by head", mask_shape=(1, HEADS, 1, LENGTH)).model(), "from head to head"),
    "a spread mask that hides queries": (spread(by_query=True), "from query to query"),
    "queries of another length than keys": (replace(PLAIN, cross=True).model(), "one length"),
    "heads in the batch": (replace(PLAIN, heads_in_batch=True).model(), "part of the batch"),
    "weights that are an output": (_read_elsewhere(), "read elsewhere"),
}


@pytest.mark.parametrize("form", LEFT_ALONE)
def test_what_no_kernel_computes_is_left_alone_and_says_why(form: str) -> None:
    before, why = LEFT_ALONE[form]
    with listening() as heard:
        assert PLACE.run(before) == (before, 0)
    assert any(why in sentence for sentence in heard)
