"""The matrix: names are checked, cells are left out with a reason, baselines come first."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.matrix import AXES, Choice, baseline_of, choose, plan, presets, split_pipeline
from bench.passes import names
from common.errors import UserError
from reports.case import Case


def chosen(**given: str) -> Choice:
    return choose("quick", {axis: given.get(axis) for axis in AXES})


def ids(choice: Choice) -> list[str]:
    return [planned.case.id for planned in plan(choice) if not planned.left_out]


def test_an_id_reads_as_the_case() -> None:
    case = Case("vit_digits", ("fold", "fuse_layernorm"), "int8_entropy", 8, "onnxruntime")
    assert case.id == "vit_digits-fold+fuse_layernorm-int8_entropy-b8-onnxruntime"
    assert Case("vit_digits", (), "fp32", 1, "onnxruntime").id == "vit_digits-none-fp32-b1-onnxruntime"


def test_comma_lists_replace_the_axes_of_the_preset() -> None:
    choice = chosen(passes="none, fold+fuse_layernorm", precisions="fp32", batches="4", backends="onnxruntime")
    assert ids(choice) == ["vit_digits-none-fp32-b4-onnxruntime", "vit_digits-fold+fuse_layernorm-fp32-b4-onnxruntime"]


def test_a_value_given_twice_runs_once() -> None:
    assert len(ids(chosen(passes="fold,fold", precisions="fp32,fp32", batches="1,1", backends="onnxruntime"))) == 1


def test_a_rule_of_the_preset_leaves_cells_out_and_says_why() -> None:
    left_out = [planned for planned in plan(chosen()) if planned.left_out]
    assert left_out
    assert all(planned.case.backend == "tensorrt_rtx" and planned.case.batch == 1 for planned in left_out)
    assert all("batch" in planned.left_out for planned in left_out)


def test_a_rule_does_not_overrule_what_the_user_asked_for() -> None:
    choice = chosen(batches="1", backends="tensorrt_rtx", passes="none", precisions="fp32")
    assert ids(choice) == ["vit_digits-none-fp32-b1-tensorrt_rtx"]


@pytest.mark.parametrize(("backend", "why"), [("onnxruntime", "a plugin runs under TensorRT only"), ("tensorrt_rtx", "takes no plugins")])
def test_a_kernel_in_the_graph_is_left_to_tensorrt(backend: str, why: str) -> None:
    planned = list(plan(chosen(passes="none,fold+layernorm_plugin:v1_tree", precisions="fp32", batches="8", backends=backend)))
    assert [why in cell.unavailable for cell in planned] == [False, True]


def test_the_full_preset_holds_every_axis_value_that_the_quick_one_has() -> None:
    quick, full = presets()["quick"], presets()["full"]
    for axis in AXES:
        assert set(getattr(quick, axis)) <= set(getattr(full, axis))


def test_the_baseline_is_the_raw_export_in_fp32_on_the_same_backend_and_batch() -> None:
    case = Case("vit_digits", ("fold",), "fp16", 8, "onnxruntime")
    assert baseline_of(case).id == "vit_digits-none-fp32-b8-onnxruntime"
    assert baseline_of(baseline_of(case)) == baseline_of(case)


def test_a_pipeline_keeps_its_order() -> None:
    assert split_pipeline("onnxslim+fold") == ("onnxslim", "fold")
    assert split_pipeline("none") == ()


@pytest.mark.parametrize(
    ("axis", "value", "expected"),
    [
        ("variants", "vit_digit", "unknown variant 'vit_digit': did you mean 'vit_digits'?"),
        ("passes", "fold+fuse_layernrm", "unknown pass 'fuse_layernrm': did you mean 'fuse_layernorm'?"),
        ("precisions", "int8_entrpy", "unknown precision 'int8_entrpy': did you mean 'int8_entropy'?"),
        ("backends", "onxruntime", "unknown backend 'onxruntime': did you mean 'onnxruntime'?"),
        ("passes", "fold+layernorm_plugin:v9", "pass 'layernorm_plugin:v9': the layernorm kernel has no version 'v9'; there are: v1_tree"),
        (
            "passes",
            "layernorm_plugin",
            "pass 'layernorm_plugin': the layernorm kernel has several versions, write layernorm_plugin:VERSION",
        ),
        ("passes", "layernorm_plugn:v1_tree", "unknown pass 'layernorm_plugn:v1_tree': did you mean 'layernorm_plugin:v1_tree'?"),
        ("passes", "fold:v1", "pass 'fold:v1': fold has no versions; write fold"),
        ("batches", "1,eight", "--batches: 'eight' is not a whole number"),
        ("batches", "0", "--batches: '0' is not a whole number"),
        ("batches", "-1", "--batches: '-1' is not a whole number"),
        ("passes", " , ", "--passes: nothing given"),
    ],
)
def test_a_misspelt_value_is_refused_with_the_near_match(axis: str, value: str, expected: str) -> None:
    with pytest.raises(UserError) as error:
        chosen(**{axis: value})
    assert str(error.value).startswith(expected)
    assert "\n" not in str(error.value)


def test_an_unknown_name_is_refused_with_the_list() -> None:
    there_are = ", ".join(sorted([*names(), "all", "none"]))
    with pytest.raises(UserError, match=f"known: {re.escape(there_are)}"):
        chosen(passes="zzz")


def test_threads_replace_those_of_the_preset() -> None:
    assert choose("quick", {}).preset.threads == 1
    assert choose("quick", {}, 2).preset.threads == 2
    with pytest.raises(UserError, match="--threads: 0 is not from 1"):
        choose("quick", {}, 0)


def test_an_unknown_preset_is_refused_with_the_list() -> None:
    with pytest.raises(UserError, match="unknown preset 'quik': did you mean 'quick'"):
        choose("quik", {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[quick]\nwhy = 1", "Expected `str`, got `int`"),
        ("[quick", "Expected"),
        ('[quick]\nwhy = "x"\nvariantes = []', "variantes"),
    ],
)
def test_a_damaged_preset_file_is_named_with_what_is_wrong(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "presets.toml"
    file.write_text(text)
    with pytest.raises(UserError) as error:
        presets(file)
    assert str(file) in str(error.value)
    assert expected in str(error.value)


def test_a_checkpoint_is_kept_under_the_full_name_of_its_variant(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    choice = choose("quick", {"variants": "vit:opset17,vit:base"}, checkpoints=[f"vit={tmp_path}"])
    assert choice.preset.checkpoints == {"vit:tiny": str(tmp_path)}
    assert choice.preset.variants == ("vit:tiny:opset17", "vit:base")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vit:tiny", "--checkpoint: 'vit:tiny' is not NAME=PATH"),
        ("vit:base=x", "--checkpoint: vit:base is not in this run, which has vit:tiny; add it to --variants"),
        ("vit:tiny=/nowhere", "/nowhere: no checkpoint; give a .safetensors"),
        ("vti=x", "unknown variant 'vti'"),
    ],
)
def test_a_checkpoint_that_is_of_no_use_is_refused(text: str, expected: str) -> None:
    with pytest.raises(UserError) as error:
        choose("quick", {"variants": "vit"}, checkpoints=[text])
    assert str(error.value).startswith(expected)
    assert "\n" not in str(error.value)


def test_a_batch_that_a_model_does_not_take_is_planned_as_one_that_cannot_run() -> None:
    planned = list(plan(chosen(variants="bert:course", passes="none", precisions="fp32", batches="1,8", backends="onnxruntime")))
    assert [cell.unavailable for cell in planned] == ["", "this model takes batch 1 only"]
