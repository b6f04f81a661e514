"""Measured layers -> time by ONNX node, module, group and part."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.layers.attribution import NO_NODE, Attribution, NodeTime, attribute, summary
from reports.layers.division import Costs
from reports.layers.layer import Layer
from tests.reports.layers.onnx_builders import Weights, costs, layer, node, profile, tensor

HALF, TWO, EPSILON, ROOT = np.float32(0.5), np.float32(2), np.float32(1e-5), np.float32(2**0.5)


def row(found: Attribution, name: str) -> NodeTime:
    return next(one for one in found.nodes if one.name == name)


def times(found: Attribution) -> dict[str, float]:
    return {one.name: one.time_us for one in found.nodes}


def conv_block() -> Costs:
    """A 3x3 convolution, a residual Add and a Relu on 64 channels."""
    nodes = [
        node("Conv", "x w", "c", name="/block/conv/Conv", pads=[1, 1, 1, 1]),
        node("Add", "c x", "a", name="/block/Add"),
        node("Relu", "a", "y", name="/block/relu/Relu"),
    ]
    return costs(nodes, {"x": [8, 64, 56, 56]}, "y", {"w": [64, 64, 3, 3]})


def layernorm(prefix: str, source: str, out: str) -> list[onnx.NodeProto]:
    def named(op: str, reads: str, name: str, write: str = "", **attributes: Any) -> onnx.NodeProto:
        return node(op, reads, write or f"{prefix}{name}", name=f"/{prefix}/{name}", **attributes)

    return [
        named("ReduceMean", source, "mean", axes=[-1]),
        named("Sub", f"{source} {prefix}mean", "sub"),
        named("Pow", f"{prefix}sub two", "pow"),
        named("ReduceMean", f"{prefix}pow", "variance", axes=[-1]),
        named("Add", f"{prefix}variance epsilon", "shift"),
        named("Sqrt", f"{prefix}shift", "root"),
        named("Div", f"{prefix}sub {prefix}root", "div"),
        named("Mul", f"{prefix}div scale", "mul"),
        named("Add", f"{prefix}mul bias", "last", out),
    ]


def encoder() -> Costs:
    """LayerNorm, attention, GELU and a product, all written out; no name tells which is which."""
    nodes = [
        *layernorm("n", "x", "l"),
        node("MatMul", "l wq", "q"),
        node("MatMul", "l wk", "k"),
        node("MatMul", "l wv", "v"),
        node("Transpose", "k", "kt", perm=[0, 2, 1]),
        node("MatMul", "q kt", "scores"),
        node("Div", "scores root2", "scaled"),
        node("Softmax", "scaled", "p"),
        node("MatMul", "p v", "o"),
        node("MatMul", "o w1", "h"),
        node("Div", "h root2", "g1"),
        node("Erf", "g1", "g2"),
        node("Add", "g2 one", "g3"),
        node("Mul", "h g3", "g4"),
        node("Mul", "g4 half", "g5"),
        node("MatMul", "g5 w2", "y"),
    ]
    weights: Weights = {
        **{name: [64, 64] for name in ("wq", "wk", "wv")},
        "w1": [64, 256],
        "w2": [256, 64],
        "scale": [64],
        "bias": [64],
        "two": np.array(TWO),
        "epsilon": np.array(EPSILON),
        "root2": np.array(ROOT),
        "one": np.array(np.float32(1)),
        "half": np.array(HALF),
    }
    return costs(nodes, {"x": [2, 128, 64]}, "y", weights)


def test_a_layer_with_one_node_is_measured_not_estimated() -> None:
    found = attribute(profile(layer("/block/conv/Conv", 30.0), layer("/block/Add", 5.0)), conv_block())
    assert times(found) == {"/block/conv/Conv": 30.0, "/block/Add": 5.0}
    assert found.estimated_us == 0
    assert not row(found, "/block/Add").estimated


def test_a_convolution_takes_most_of_the_layer_it_shares_and_the_layer_s_own_time_stands_beside() -> None:
    found = attribute(
        profile(layer("/block/conv/Conv + /block/Add + /block/relu/Relu", 100.0, inputs=(tensor("x", "FP16"),))), conv_block()
    )
    conv, add, relu = (row(found, name) for name in ("/block/conv/Conv", "/block/Add", "/block/relu/Relu"))
    assert conv.time_us > 60 > 40 > add.time_us > relu.time_us > 0
    assert conv.estimated_us == conv.time_us
    assert (conv.pieces[0].layer_us, conv.pieces[0].nodes) == (100.0, 3)
    assert math.fsum(times(found).values()) == 100.0


def test_without_shapes_a_product_counts_twenty_and_what_is_beside_it_one_and_the_page_says_so() -> None:
    found = attribute(profile(layer("fc.weight + QuantizeLinear_309 + Gemm_311 + fc.bias", 21.0, group="convolution")))
    assert times(found) == pytest.approx({"Gemm_311": 20.0, "QuantizeLinear_309": 1.0})
    assert "give the ONNX file" in found.notes[0]


def test_reformats_keep_a_line_of_their_own() -> None:
    copy = layer("Reformatting CopyNode for Input Tensor 0 to /block/conv/Conv", 4.0, group="reformat / copy")
    found = attribute(profile(layer("/block/conv/Conv", 30.0), copy), conv_block())
    assert times(found) == {"/block/conv/Conv": 30.0, f"{NO_NODE}reformat / copy": 4.0}
    assert [total.name for total in found.modules()] == ["block/conv", f"{NO_NODE}reformat / copy"]


def test_a_reformat_is_the_engine_s_own_work_even_where_metadata_names_the_node_behind_it() -> None:
    copy = layer("Reformatting CopyNode for Output Tensor 0 to /block/conv/Conv", 4.0, "/block/conv/Conv", group="reformat / copy")
    assert times(attribute(profile(copy), conv_block())) == {f"{NO_NODE}reformat / copy": 4.0}


def test_metadata_comes_before_the_name_and_a_myelin_kernel_finds_the_node_behind_its_underscores() -> None:
    names = [layer("__myl_ResAdd_myl3_1", 3.0, "/block/Add /block/relu/Relu"), layer("/block/conv/Conv_myl3_0", 7.0)]
    found = attribute(profile(*names), conv_block())
    assert found.absent == 0
    assert row(found, "/block/conv/Conv").time_us == 7.0
    assert row(found, "/block/Add").time_us + row(found, "/block/relu/Relu").time_us == pytest.approx(3.0)


def test_a_region_is_every_node_between_its_ends_that_no_other_layer_claims() -> None:
    region = layer("{ForeignNode[/n/mean.../n/last]}", 9.0)
    found = attribute(profile(region, layer("/n/root", 1.0)), encoder())
    inside = {one.name for one in found.nodes if one.pieces[0].layer_us == 9.0}
    assert inside == {"/n/mean", "/n/sub", "/n/pow", "/n/variance", "/n/shift", "/n/div", "/n/mul", "/n/last"}
    assert row(found, "/n/root").time_us == 1.0


def test_a_region_may_begin_at_a_weight() -> None:
    found = attribute(profile(layer("{ForeignNode[w1...g5]}", 9.0)), encoder())
    assert {"h", "g1", "g2", "g3", "g4", "g5"} <= set(times(found))
    assert "o" not in times(found)


def test_a_region_whose_end_is_unknown_is_what_is_left_of_its_beginning() -> None:
    found = attribute(profile(layer("{ForeignNode[/n/mean...(Unnamed Layer* 9) [ElementWise]]}", 9.0)), encoder())
    assert times(found) == {"/n/mean": 9.0}
    claimed = attribute(profile(layer("{ForeignNode[wq...(Unnamed Layer* 9) [ElementWise]]}", 9.0), layer("q", 1.0)), encoder())
    assert row(claimed, "q").time_us == 1.0


def test_a_softmax_over_products_with_weights_is_no_attention() -> None:
    nodes = [node("MatMul", "x w", "a"), node("Softmax", "a", "b"), node("MatMul", "b w", "y")]
    assert costs(nodes, {"x": [4, 8]}, "y", {"w": [8, 8]}).groups == ("matrix product", "attention", "matrix product")


def test_written_out_layernorm_gelu_and_attention_are_known_by_their_structure() -> None:
    found = encoder()
    groups = dict(zip((one.name for one in found.graph.nodes), found.groups, strict=True))
    assert [name for name, group in groups.items() if group == "LayerNorm"] == [
        f"/n/{name}" for name in ("mean", "sub", "pow", "variance", "shift", "root", "div", "mul", "last")
    ]
    assert {name for name, group in groups.items() if group == "attention"} == {"scores", "scaled", "p", "o"}
    assert {name for name, group in groups.items() if group == "GELU"} == {"g1", "g2", "g3", "g4", "g5"}


@pytest.mark.parametrize("broken", ["sub", "variance", "div", "div of x"])
def test_a_layernorm_whose_inside_is_read_elsewhere_or_that_lacks_a_step_is_left_alone(broken: str) -> None:
    nodes = layernorm("n", "x", "l")
    at = next(place for place, one in enumerate(nodes) if one.name == f"/n/{broken.split()[0]}")
    if broken == "div of x":
        nodes[at].input[0] = "x"
    else:
        nodes[at].op_type = {"sub": "Add", "variance": "ReduceMax", "div": "Mul"}[broken]
    weights: Weights = {"scale": [8], "bias": [8], "two": np.array(TWO), "epsilon": np.array(EPSILON)}
    assert not costs(nodes, {"x": [2, 8]}, "l", weights).pattern


def test_one_layer_that_holds_a_whole_block_is_divided_by_bytes_and_operations() -> None:
    region = layer("{ForeignNode[/n/mean...y]}", 1000.0, inputs=(tensor("x"),))
    found = attribute(profile(region), encoder())
    shares = {total.name: total.share for total in found.groups()}
    assert 0.3 < shares["matrix product"] < 0.9
    assert all(shares[group] > 0.02 for group in ("LayerNorm", "GELU", "attention"))
    assert shares["LayerNorm"] < 0.2
    assert all(total.estimated_us == total.time_us for total in found.groups())


def test_a_group_that_fills_its_layers_is_measured_though_its_nodes_are_estimated() -> None:
    """Nine nodes share a LayerNorm kernel: which of them took how long is a guess, that LayerNorm took it is not."""
    names = " + ".join(f"/n/{name}" for name in ("mean", "sub", "pow", "variance", "shift", "root", "div", "mul", "last"))
    found = attribute(profile(layer(names, 9.0), layer("q", 21.0)), encoder())
    assert found.estimated_us == pytest.approx(9.0)
    assert {total.name: (total.time_us, total.estimated_us) for total in found.groups()} == {
        "LayerNorm": (9.0, 0.0),
        "matrix product": (21.0, 0.0),
    }
    assert summary(found) == "matrix product is 70 % of the time, LayerNorm 30 %; all of it measured."


def test_the_summary_names_parts_and_how_much_of_them_is_estimated() -> None:
    names = ("/enc/layer.0/attention/self/MatMul", "/enc/layer.0/attention/LayerNorm/Add", "/enc/layer.0/intermediate/MatMul")
    nodes = [node("MatMul", "x w", "a", name=names[0]), node("Add", "a x", "b", name=names[1]), node("MatMul", "b w", "y", name=names[2])]
    graph = costs(nodes, {"x": [64, 64]}, "y", {"w": [64, 64]})
    measured = attribute(profile(layer(names[0], 48.0), layer(names[1], 11.0), layer(names[2], 41.0)), graph)
    assert summary(measured) == "self-attention is 48 % of the time, MLP 41 %, LayerNorm 11 %; all of it measured."
    shared = attribute(profile(layer(names[0], 50.0), layer(f"{names[1]} + {names[2]}", 50.0)), graph)
    assert "; 50 % of the time is estimated" in summary(shared)


def test_blocks_that_repeat_can_be_read_as_one() -> None:
    nodes = [node("Relu", "x", "a", name="/l.0/act/Relu"), node("Relu", "a", "y", name="/l.1/act/Relu")]
    found = attribute(profile(layer("/l.0/act/Relu", 3.0), layer("/l.1/act/Relu", 4.0)), costs(nodes, {"x": [2]}, "y"))
    assert [(total.name, total.time_us, total.nodes) for total in found.modules(fold=True)] == [("l.*/act", 7.0, 2)]
    assert [total.name for total in found.modules(depth=1)] == ["l.1", "l.0"]


def test_constants_and_views_cost_nothing_unless_the_layer_holds_nothing_else() -> None:
    nodes = [node("Reshape", "x shape", "r"), node("Relu", "r", "y")]
    graph = costs(nodes, {"x": [4, 4]}, "y", {"shape": np.array([16])})
    assert times(attribute(profile(layer("r + y", 8.0)), graph)) == {"r": 0.0, "y": 8.0}
    assert times(attribute(profile(layer("r", 2.0), layer("y", 8.0)), graph)) == {"r": 2.0, "y": 8.0}


def test_a_node_of_unknown_shape_gets_the_mean_of_those_it_shares_the_layer_with() -> None:
    nodes = [node("Relu", "x", "a"), node("Mystery", "a", "b"), node("Relu", "x", "c")]
    found = attribute(profile(layer("a + b + c", 9.0)), costs(nodes, {"x": [64]}, "b c"))
    assert times(found) == pytest.approx({"a": 3.0, "b": 3.0, "c": 3.0})


def test_nodes_in_no_layer_are_counted_and_those_with_work_named() -> None:
    found = attribute(profile(layer("/block/conv/Conv", 5.0)), conv_block())
    assert found.absent == 2
    assert set(found.working) == {"/block/Add", "/block/relu/Relu"}


def test_a_file_of_another_model_is_told_apart() -> None:
    found = attribute(profile(layer("/other/Conv", 5.0)), conv_block())
    assert "is it the ONNX file that this engine was built from?" in found.notes[-1]
    assert found.total_us == 5.0


def test_layer_information_without_times_says_what_is_missing() -> None:
    found = attribute(profile(layer("/block/conv/Conv", None)), conv_block())
    assert summary(found) == ""
    assert "give the profile" in found.notes[-1]


def test_what_onnx_runtime_appends_to_names_is_seen_through_and_a_fused_operator_does_the_whole_pattern() -> None:
    fused = layer("/n/last/LayerNormFusion/", 9.0, type="LayerNormalization", group="LayerNorm")
    nameless = layer("Gelu_token_41", 5.0, type="Gelu", group="GELU")
    found = attribute(profile(fused, nameless, layer("y_nchwc", 2.0)), encoder())
    assert {one.name for one in found.nodes if one.group == "LayerNorm"} == {f"/n/{name}" for name in NINE}
    assert {total.name: total.time_us for total in found.groups()} == pytest.approx({"LayerNorm": 9.0, "GELU": 5.0, "matrix product": 2.0})
    assert not any(one.name.startswith(NO_NODE) for one in found.nodes)


NINE = ("mean", "sub", "pow", "variance", "shift", "root", "div", "mul", "last")


LAYERS = st.builds(
    lambda names, time: layer(" + ".join(names), time),
    st.lists(
        st.sampled_from([one.name for one in encoder().graph.nodes] + ["nobody", "w1", "(Unnamed Layer* 3) [Shuffle]"]),
        min_size=1,
        max_size=9,
    ),
    st.one_of(st.none(), st.floats(0, 1e6)),
)


@given(st.lists(LAYERS, max_size=12))
def test_the_rows_add_up_to_the_profile_whatever_shares_what(layers: list[Layer]) -> None:
    measured = math.fsum(one.mean_us or 0.0 for one in layers)
    for graph in (ENCODER, None):
        found = attribute(profile(*layers), graph)
        assert math.fsum(piece.time_us for one in found.nodes for piece in one.pieces) == pytest.approx(measured, rel=1e-12, abs=1e-9)
        assert all(piece.time_us >= -1e-9 for one in found.nodes for piece in one.pieces)
        assert math.fsum(total.time_us for total in found.groups()) == pytest.approx(measured, rel=1e-12, abs=1e-9)


ENCODER = encoder()
