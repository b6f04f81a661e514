"""Every pass alone on every model family: the contract of test_passes.py on real exports at several shapes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.variants.families import FAMILIES, cache_folder, exported
from tests.variants.pass_contract import PASSES, broken


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cache_folder(tmp_path_factory)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", PASSES)
def test_a_pass_holds_its_contract_on_a_real_export(name: str, family: str, folder: Path) -> None:
    given = exported(family, folder)
    assert broken(PASSES[name], given.model, given.feeds, given.setting) == ""
