"""Passes by the names that a user types, versions of kernels included."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import passes
from bench.passes import expand, find, names, pipelines
from common.errors import UserError
from plugins.discovery import ROOT, versions
from tests.variants.graphs import layernorm
from variants.plugin_pass import placed


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plugins/layernorm to put versions into, in place of ours."""
    folder = tmp_path / "layernorm"
    folder.mkdir()
    monkeypatch.setattr(passes, "ROOT", tmp_path)
    monkeypatch.setattr(passes, "versions", lambda family: versions(family, tmp_path))
    return folder


def test_every_file_of_the_folder_is_a_version_of_the_pass() -> None:
    ours = [name for name in names() if name.startswith("layernorm_plugin")]
    assert ours == [f"layernorm_plugin:{path.stem}" for path in sorted((ROOT / "layernorm").glob("*.cu"))]
    for name in ours:
        (node,) = placed(find(name).value.run(layernorm())[0])
        assert next(a.s.decode() for a in node.attribute if a.name == "version") == name.split(":")[1]


def test_a_file_dropped_in_the_folder_is_a_version_even_beside_a_broken_one(folder: Path) -> None:
    (folder / "v6_mine.cu").write_text("// mine")
    (folder / "v10_broken.cu").write_text("")
    assert [name for name in names() if name.startswith("layernorm_plugin")] == ["layernorm_plugin:v6_mine", "layernorm_plugin:v10_broken"]
    assert find("layernorm_plugin:v6_mine").name == "layernorm_plugin:v6_mine"


def test_a_kernel_that_changed_is_another_pass_to_the_cache(folder: Path) -> None:
    file = folder / "v6_mine.cu"
    file.write_text('#include "mine.cuh"')
    (folder / "mine.cuh").write_text("// one")
    before = find("layernorm_plugin:v6_mine").digest
    assert find("layernorm_plugin:v6_mine").digest == before
    (folder / "mine.cuh").write_text("// two")
    assert find("layernorm_plugin:v6_mine").digest != before


def test_a_pass_without_versions_is_found_as_it_is() -> None:
    assert find("fold").name == "fold"
    assert "fold" in names()


def test_all_stands_for_the_routine_passes_in_the_order_of_their_stages() -> None:
    found = expand(["all"])
    stages = [find(name).value.stage for name in found]
    assert stages == sorted(stages)
    assert found.index("cast_booleans") < found.index("fold") < found.index("fuse_layernorm")
    assert not {"onnxslim", "layernorm_plugin"} & set(found)


def test_all_can_leave_passes_out_and_take_another_order() -> None:
    assert set(expand(["all"])) - set(expand(["all-fold-fuse_layernorm"])) == {"fold", "fuse_layernorm"}
    assert expand(["all@reversed"]) == expand(["all"])[::-1]
    assert expand(["all@3"]) == expand(["all@3"]) != expand(["all"])
    assert sorted(expand(["all@3"])) == sorted(expand(["all"]))
    assert expand(["all-fold", "onnxslim"]) == (*expand(["all-fold"]), "onnxslim")


def test_another_pass_stands_among_all_of_them_where_its_stage_has_it() -> None:
    found = expand(["all.fuse_attention:ort.pad_channels:16-fold"])
    assert set(found) == set(expand(["all"])) - {"fold"} | {"fuse_attention:ort", "pad_channels:16"}
    stages = [find(name).value.stage for name in found]
    assert stages == sorted(stages)
    assert found.index("fuse_attention:ort") < found.index("flatten_matmul") < found.index("pad_channels:16")
    assert expand(["all", "fuse_attention:ort"])[-1] == "fuse_attention:ort"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("all.fodl", "unknown pass 'fodl': did you mean 'fold'"),
        ("all-fodl", "fodl is not in 'all', which has"),
        ("all@last", "after @ comes reversed, or the number"),
        ("all@", "after @ comes"),
    ],
)
def test_what_all_does_not_know_is_refused_in_one_sentence(word: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        expand([word])


def test_each_is_every_routine_pass_alone_and_all_less_each_leaves_out_one_at_a_time() -> None:
    assert pipelines("each") == expand(["all"])
    assert [set(expand(["all"])) - set(expand([text])) for text in pipelines("all-each")] == [{name} for name in expand(["all"])]
    assert pipelines("fold+onnxslim") == ("fold+onnxslim",)
