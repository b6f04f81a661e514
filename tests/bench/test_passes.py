"""Passes by the names that a user types, versions of kernels included."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import passes
from bench.passes import find, names
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
    assert [name for name in names() if ":" in name] == ["layernorm_plugin:v6_mine", "layernorm_plugin:v10_broken"]
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
