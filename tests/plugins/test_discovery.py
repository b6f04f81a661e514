"""The folder registers."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugins.discovery import ROOT, all_kernels, families, find, kernels
from plugins.kernel import BadKernelFile

REFERENCE = (ROOT / "swish" / "reference.py").read_text(encoding="utf-8")
VERSION = (ROOT / "swish" / "v1_basic.cu").read_text(encoding="utf-8")


def family(root: Path, reference: str = REFERENCE) -> Path:
    folder = root / "mine"
    folder.mkdir()
    (folder / "reference.py").write_text(reference, encoding="utf-8")
    return folder


def test_a_file_dropped_in_a_folder_is_a_version(tmp_path: Path) -> None:
    folder = family(tmp_path)
    for name in ("v10_late.cu", "v2_early.cu"):
        (folder / name).write_text(VERSION, encoding="utf-8")
    assert [k.id for k in kernels(families(tmp_path)["mine"])] == ["mine/v2_early", "mine/v10_late"]
    assert find("mine/v2_early", tmp_path).entry == "mine_v2_early"


def test_a_reference_that_lacks_something_is_named(tmp_path: Path) -> None:
    family(tmp_path, '"""Mine."""\n\nDIMS = ("count",)\n')
    with pytest.raises(BadKernelFile, match=r"mine.reference\.py: define INPUTS, OUTPUTS"):
        families(tmp_path)


def test_an_unknown_version_lists_those_that_exist() -> None:
    with pytest.raises(KeyError, match="layernorm/v1_tree"):
        find("layernorm/v99")


def test_every_version_tells_its_idea_and_source() -> None:
    assert len(all_kernels()) >= 16
    for kernel in all_kernels():
        assert kernel.idea.startswith(kernel.name.split("_")[0]), kernel.path
        assert kernel.origin


def test_every_tolerance_has_a_reason() -> None:
    for found in families().values():
        for tolerance in found.tolerances.values():
            assert len(tolerance.why) > 10
