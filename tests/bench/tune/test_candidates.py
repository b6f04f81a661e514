"""What is tried: the combinations of the presets, pipelines, families of precisions."""

from __future__ import annotations

from bench.backend import Backend
from bench.matrix import presets
from bench.passes import routine
from bench.tune.candidates import Space, all_precisions, by_hand, families, pipelines_of
from common.discover import discover

ONNXRUNTIME = discover("bench.backends", Backend)["onnxruntime"].value


def test_every_combination_of_the_default_matrix_is_a_candidate() -> None:
    known = presets()
    hand = by_hand("vit_digits", known, "onnxruntime")
    for preset in (known["quick"], known["full"]):
        assert {(passes, precision) for passes in preset.passes for precision in preset.precisions} <= set(hand)
    assert len(hand) == len(set(hand))


def test_what_a_preset_leaves_out_is_not_chosen_by_hand() -> None:
    hand = by_hand("vit:tiny", presets(), "onnxruntime")
    assert ("all", "fp16") in hand
    assert ("none", "fp16") not in hand


def test_a_variant_of_no_preset_is_held_against_the_quick_one() -> None:
    quick = presets()["quick"]
    assert {passes for passes, _ in by_hand("of nobody", presets(), "onnxruntime")} == set(quick.passes)


def test_pipelines_are_the_hand_chosen_the_whole_and_the_whole_without_each() -> None:
    found = pipelines_of(ONNXRUNTIME, ("fold+fuse_layernorm",))
    assert found[:3] == ("fold+fuse_layernorm", "none", "all")
    assert {f"all-{name}" for name in routine()} <= set(found)
    assert not any("plugin" in pipeline for pipeline in found)
    assert len(found) == len(set(found))


def test_a_family_differs_in_calibration_alone() -> None:
    found = families(("fp16", "int8_minmax", "int8_entropy", "int8_weights"))
    assert found == (("fp16",), ("int8_minmax", "int8_entropy"), ("int8_weights",))


def test_precisions_that_only_ask_the_builder_have_no_units() -> None:
    space = Space("m", 1, "onnxruntime", ("none", "all"), all_precisions(), ())
    assert "int8_minmax" in space.low
    assert space.precisions[0] == "fp32"
    assert not {"fp32", *space.flagged} & set(space.low)
    assert space.starts == ("all", "none")
