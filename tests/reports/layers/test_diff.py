"""What moved between two profiles, and that it adds up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.layers.align import align
from reports.layers.diff import NAMED, Diff, GroupChange, Movement, Step, diff, group_steps, waterfall
from reports.layers.layer import GROUPS, Layer
from reports.layers.profile import Profile
from reports.layers.read import read


def layer(name: str, us: float | None = 10.0, nodes: str = "", type: str = "Conv", group: str = "other", position: int = 0) -> Layer:
    """`nodes` as words."""
    return Layer(1, name, type, group, us, us, nodes=tuple(nodes.split()), position=position)


def profile(*layers: Layer, title: str = "one", latencies_us: Sequence[float] = ()) -> Profile:
    placed = tuple(Layer(**{f: getattr(one, f) for f in one.__struct_fields__} | {"position": n}) for n, one in enumerate(layers, 1))
    return Profile(title, placed, latencies_us=tuple(latencies_us))


def movements(before: Sequence[Layer], after: Sequence[Layer]) -> dict[str, Movement]:
    return {m.name: m for m in diff(profile(*before), profile(*after)).movements}


def test_a_layer_keeps_its_partner_by_name_wherever_it_stands() -> None:
    found = movements([layer("a", 1), layer("b", 2)], [layer("b", 5), layer("a", 1)])
    assert (found["b"].kind, found["b"].how, found["b"].change_us) == ("kept", "name", 3)


def test_the_second_of_two_equal_names_is_the_second() -> None:
    found = diff(profile(layer("a", 1), layer("a", 5)), profile(layer("a", 1), layer("a", 7)))
    assert [m.change_us for m in found.movements] == [2, 0]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Conv_0", "Conv_0 [profile 1]"),
        ("x[profile 2]/Add", "x[profile 13]/Add"),
        ("(Unnamed Layer* 108) [Shuffle]", "(Unnamed Layer* 99) [Shuffle]"),
        ("q/QuantizeLinear_clone_1", "q/QuantizeLinear_clone_2"),
        ("Forced Cast ITensor x from DataType.FLOAT to DataType.HALF", "Forced Cast ITensor x from DataType.FLOAT to DataType.FLOAT"),
    ],
)
def test_what_a_build_adds_to_a_name_is_not_its_identity(before: str, after: str) -> None:
    (match,) = align([layer(before, type="A")], [layer(after, type="B")])
    assert match.how == "name"


def test_a_number_of_the_network_itself_is_its_identity() -> None:
    found = movements([layer("Conv_26", type="A")], [layer("Conv_27", type="B")])
    assert {name: m.kind for name, m in found.items()} == {"Conv_26": "vanished", "Conv_27": "appeared"}


def test_a_weight_in_the_name_outlives_the_numbers_of_another_export() -> None:
    before = layer("l1.conv.weight + QuantizeLinear_118 + Conv_120", 7, "QuantizeLinear_118 Conv_120")
    after = layer("l1.conv.weight + QuantizeLinear_136 + Conv_138", 4, "QuantizeLinear_136 Conv_138")
    found = diff(profile(layer("x", type="Other"), before), profile(after, layer("y", type="Another"))).movements
    assert {(m.kind, m.how, m.change_us) for m in found if len(m.before) == len(m.after)} == {("kept", "name", -3)}


def test_layers_that_one_layer_swallowed_are_merged_into_it() -> None:
    found = movements([layer("Conv_0", 4), layer("Relu_1", 3)], [layer("Conv_0 + Relu_1", 5)])
    (only,) = found.values()
    assert (only.kind, only.how, only.before_us, only.after_us) == ("merged", "ONNX nodes", 7, 5)


def test_one_layer_that_became_several_is_split_also_where_one_keeps_its_name() -> None:
    found = movements([layer("fused", 9, "a b c")], [layer("fused", 4, "a"), layer("other", 3, "b c")])
    (only,) = found.values()
    assert (only.kind, only.before_us, only.after_us) == ("split", 9, 7)


def test_myelin_numbers_its_kernels_anew_so_the_nodes_decide() -> None:
    before = [layer("__myl_Fc_myl0_1", 3, "/q/MatMul"), layer("__myl_Fc_myl0_2", 8, "/k/MatMul")]
    after = [layer("__myl_Fc_myl0_1", 8, "/k/MatMul"), layer("__myl_Fc_myl0_7", 3, "/q/MatMul")]
    found = diff(profile(*before), profile(*after)).movements
    assert [(m.change_us, m.how) for m in found] == [(0, "ONNX nodes"), (0, "ONNX nodes")]
    assert all(m.before[0].nodes == m.after[0].nodes for m in found)


def test_a_copy_for_a_layer_is_not_that_layer() -> None:
    found = movements([layer("Conv_0")], [layer("Conv_0"), layer("Reformatting CopyNode for Input Tensor 0 to Conv_0", 2)])
    assert {m.kind for m in found.values()} == {"kept", "appeared"}


def test_what_shares_neither_name_nor_node_pairs_by_type_in_order_between_its_neighbours() -> None:
    before = [layer("x1", 1, type="Mul"), layer("anchor"), layer("x2", 2, type="Mul"), layer("x3", 3, type="Add")]
    after = [layer("anchor"), layer("y2", 2, type="Mul"), layer("y3", 3, type="Add")]
    found = diff(profile(*before), profile(*after)).movements
    assert {(m.kind, m.name, m.how) for m in found} == {
        ("kept", "anchor", "name"),
        ("kept", "y2", "type and order"),
        ("kept", "y3", "type and order"),
        ("vanished", "x1", ""),
    }


def test_groups_come_by_the_size_of_their_change() -> None:
    found = diff(
        profile(layer("a", 10, group="attention"), layer("b", 20, group="GELU")),
        profile(layer("a", 9, group="attention"), layer("b", 12, group="GELU"), layer("c", 1, group="shape")),
    )
    assert [(g.group, g.change_us) for g in found.groups] == [("GELU", -8), ("attention", -1), ("shape", 1)]


def test_a_change_within_the_scatter_of_one_side_is_not_claimed() -> None:
    scattered = Layer(1, "a", "Conv", "other", 12.0, 10.0)
    (within,) = diff(profile(layer("a", 11)), profile(scattered)).movements
    (beyond,) = diff(profile(layer("a", 5)), profile(scattered)).movements
    assert within.doubtful
    assert not beyond.doubtful


def test_a_side_without_times_is_said() -> None:
    found = diff(profile(layer("a", None), title="A"), profile(layer("a", 3), title="B"))
    assert found.notes[0].startswith("A holds no times")


def test_latencies_that_overlap_are_not_claimed_and_others_are() -> None:
    near, far = [100.0 + i % 7 for i in range(200)], [150.0 + i % 7 for i in range(200)]
    same = diff(profile(layer("a"), latencies_us=near), profile(layer("a"), latencies_us=near[3:]))
    other = diff(profile(layer("a"), latencies_us=near), profile(layer("a"), latencies_us=far))
    assert any("no difference of latency" in note for note in same.notes)
    assert any("latency" in note and "slower" in note for note in other.notes)


NAMES = st.sampled_from(["a", "b", "a + b", "c", "__myl_Fc_myl0_1", "__myl_Fc_myl0_2", "Reformatting CopyNode for Input Tensor 0 to a"])
TIMES = st.none() | st.floats(0, 1e12) | st.floats(0, 10)
LAYERS = st.lists(
    st.builds(layer, NAMES, TIMES, st.sampled_from(["", "p", "p q", "q r"]), st.sampled_from(["x", "y"]), st.sampled_from(GROUPS[:3])),
    max_size=40,
)


def levels(found: Diff) -> list[float]:
    return [step.level_us for step in found.waterfall]


@settings(max_examples=120, deadline=None)
@given(LAYERS, LAYERS)
def test_whatever_the_layers_all_are_accounted_for_once_and_every_sum_is_exact(before: list[Layer], after: list[Layer]) -> None:
    found = diff(profile(*before), profile(*after))
    assert sorted(one.position for m in found.movements for one in m.before) == list(range(1, len(before) + 1))
    assert sorted(one.position for m in found.movements for one in m.after) == list(range(1, len(after) + 1))
    sums: list[Sequence[GroupChange | Movement | Step]] = [found.groups, found.movements, found.waterfall]
    for changes in (*sums, waterfall(found.before_us, found.movements, 2), group_steps(found)):
        assert found.before_us + sum(one.change_us for one in changes) == found.after_us
        assert math.fsum([found.before_us, *(one.change_us for one in reversed(changes))]) == found.after_us
    named = {step.movement for step in found.waterfall}
    rest = math.fsum(m.change_us for index, m in enumerate(found.movements) if index not in named)
    assert rest == sum(step.change_us for step in found.waterfall if step.movement is None)
    assert not found.waterfall or levels(found)[-1] == found.after_us
    assert len(found.waterfall) <= NAMED + 1
    total, both = (math.fsum(one.mean_us or 0 for one in side) for side in (after, [*before, *after]))
    assert found.after_us == pytest.approx(total, rel=0, abs=1e-4 + 1e-13 * both)


CORPUS = Path(__file__).parents[4] / "shared" / "corpus"


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real files is not beside this checkout")
def test_real_engines_of_one_model_pair_by_name_and_add_up() -> None:
    folder = CORPUS / "NVIDIA__TensorRT"
    names = [f"pytorch__resnet__A100__{name}.onnx.engine.profile.json" for name in ("fp32__resnet", "fp16__resnet")]
    found = diff(*(read([folder / name]) for name in names))
    convolutions = [m for m in found.movements if m.group == "convolution"]
    assert {m.how for m in convolutions} == {"name"}
    assert len(convolutions) == 20
    assert found.before_us + sum(m.change_us for m in found.movements) == found.after_us
    assert found.before_us == pytest.approx(found.before.sum_us)
    assert any("faster" in note for note in found.notes)
