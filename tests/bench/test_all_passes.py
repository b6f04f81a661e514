"""The whole pipeline `all` on every model family, in its own order and in others: what comes out computes what went in."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from bench.artefacts import Artefacts
from bench.cache import Cache
from bench.phases import Phases
from reports.case import Case
from tests.variants.families import FAMILIES, TIMED_BATCH, cache_folder, exported
from tests.variants.pass_contract import interface, numbers

ORDERS = [("all", family) for family in FAMILIES]
ORDERS += [(order, family) for order in ("all@reversed", "all@1", "all@2") for family in ("vit_digits", "bert:tiny", "uniformer_s:tiny")]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cache_folder(tmp_path_factory)


def through(passes: str, family: str, folder: Path) -> Path:
    batch = exported(family, folder).variant.only_batch or TIMED_BATCH
    case = Case(family, (passes,), "fp32", batch, "onnxruntime")
    return Artefacts(Cache(folder)).transformed(case, Phases()).graph.path


@pytest.mark.parametrize(("passes", "family"), [order for order in ORDERS if order[1] in FAMILIES])
def test_a_family_computes_the_same_after_all_passes_at_every_shape(passes: str, family: str, folder: Path) -> None:
    given, after = exported(family, folder), onnx.load(through(passes, family, folder))
    onnx.checker.check_model(after, full_check=True)
    assert interface(after) == interface(given.model)
    assert numbers(given.model, after, given.feeds) == ""


def test_a_family_is_smaller_after_all_passes(folder: Path) -> None:
    for family in FAMILIES:
        after = onnx.load(through("all", family, folder), load_external_data=False)
        assert len(after.graph.node) < 0.9 * len(exported(family, folder).model.graph.node), family


def test_nvidias_parser_takes_every_family_after_all_passes_where_it_took_the_export(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    paths = {family: (str(exported(family, folder).path), str(through("all", family, folder))) for family in FAMILIES}
    request, answer = tmp_path / "request", tmp_path / "answer"
    request.write_text(json.dumps([path for both in paths.values() for path in both]))
    subprocess.run([sys.executable, "-m", "tests.variants.rtx_parse", str(request), str(answer)], check=True)
    said = dict(json.loads(line) for line in answer.read_text().splitlines())
    assert {family: said[after] for family, (before, after) in paths.items() if said[after] and not said[before]} == {}
