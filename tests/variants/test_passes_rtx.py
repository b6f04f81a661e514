"""NVIDIA's parser takes what a pass makes of a graph, wherever it took the graph: TensorRT-RTX, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from bench.passes import fitted
from common.errors import UserError
from tests.variants.graphs import copy
from tests.variants.pass_contract import PASSES, setting, small
from variants.plugin_pass import NAMESPACE

ROOT = Path(__file__).resolve().parent.parent.parent
TAKEN = [name for name, declared in PASSES.items() if not declared.value.domain]
"""What writes operators of another domain is for those who know them: plugins, ONNX Runtime."""


def parsed(paths: list[Path], folder: Path) -> dict[str, str]:
    """Path -> refusal or ""; a graph that ends the process is one that is refused, and the rest is tried in a new one."""
    request, answer = folder / "request", folder / "answer"
    answer.touch()
    left = [str(path) for path in paths]
    while left:
        request.write_text(json.dumps(left))
        words = [sys.executable, "-m", "tests.variants.rtx_parse", str(request), str(answer)]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        said = dict(json.loads(line) for line in answer.read_text().splitlines())
        left = [path for path in left if path not in said]
        if left:
            assert done.returncode != 0
            with answer.open("a") as file:
                file.write(json.dumps([left[0], f"the parser died ({done.returncode})"]) + "\n")
            left = left[1:]
    return dict(json.loads(line) for line in answer.read_text().splitlines())


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """By pass ("" is none) and graph; graphs that a pass leaves as they are left out."""
    pytest.importorskip("tensorrt_rtx")
    folder = tmp_path_factory.mktemp("rtx")
    files: dict[tuple[str, str], Path] = {}
    for number, (graph, before) in enumerate(small().items()):
        for place, (name, made) in enumerate(_made(before).items()):
            files[name, graph] = folder / f"{number}_{place}.onnx"
            onnx.save(made, files[name, graph])
    said = parsed(list(files.values()), folder)
    found: dict[str, dict[str, str]] = {}
    for (name, graph), file in files.items():
        found.setdefault(name, {})[graph] = said[str(file)]
    return found


def _made(before: onnx.ModelProto) -> dict[str, onnx.ModelProto]:
    made = {"": before}
    for name in TAKEN:
        try:
            after, _ = fitted(PASSES[name], setting(before)).value.run(copy(before))
        except UserError:
            continue
        if after != before:
            made[name] = after
    return made


def test_most_small_graphs_are_taken_as_they_are(refusals: dict[str, dict[str, str]]) -> None:
    assert sum(not said for said in refusals[""].values()) > 0.7 * len(small())


@pytest.mark.parametrize("name", TAKEN)
def test_the_parser_takes_what_it_took_before_the_pass(name: str, refusals: dict[str, dict[str, str]]) -> None:
    after = refusals.get(name, {})
    assert {graph: said for graph, said in after.items() if said and not refusals[""][graph]} == {}


def test_what_is_left_out_writes_operators_of_its_own() -> None:
    assert {PASSES[name].value.domain for name in PASSES.keys() - set(TAKEN)} <= {NAMESPACE, "com.microsoft"}
