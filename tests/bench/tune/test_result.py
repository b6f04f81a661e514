"""A result as lines, as JSON and as a page."""

from __future__ import annotations

import shlex

import msgspec
import pytest

from bench.tune.goal import parse
from bench.tune.output import lines
from bench.tune.picture import tune_page
from bench.tune.result import Request, Result, command, result
from bench.tune.search import search
from reports.case import Case
from reports.record import Environment
from tests.bench.tune.made import quest
from tests.bench.tune.test_search import LOUD, world

REQUEST = Request("made", "onnxruntime", 8, "snr 30dB", 600, "quick", "top-1", words=("--onnx", "my model.onnx"))


@pytest.fixture(scope="module")
def came() -> Result:
    asked = quest(world())
    return result(search(asked), REQUEST, asked.goal, Environment("here", (("CPU", "made"),)), 12.0)


def test_the_terminal_shows_choice_front_ranking_hand_chosen_and_commands(came: Result) -> None:
    text = list(lines(came))
    assert text[0] == "made, batch 8, onnxruntime: the fastest within snr 30dB"
    assert "Choice: fold int8_minmax~/blocks.1/fc1/MatMul" in text
    assert f"  kept high: {LOUD}" in text
    ranking = text.index("Sensitivity in int8_minmax: 6 of 6 units, the most sensitive first")
    assert text[ranking + 2].endswith(LOUD)
    assert any(line.startswith("Chosen by hand: 2 combinations of the presets timed; for each the front has a point") for line in text)
    assert any(line.startswith("Left out: ") for line in text)
    assert all(f"  {row.command}" in text for row in came.front)


def test_a_command_survives_the_shell_whatever_the_nodes_are_called() -> None:
    case = Case("made", ("fold",), "int8_minmax~/a b/*~/it's[[]0]", 8, "onnxruntime")
    words = shlex.split(command(case, REQUEST))
    assert words[words.index("--precisions") + 1] == case.precision
    assert words[-2:] == ["--onnx", "my model.onnx"]
    assert words[:3] == ["pytest", "bench/", "--benchmark-only"]


def test_the_json_is_read_back_as_it_was(came: Result) -> None:
    assert msgspec.json.decode(msgspec.json.encode(came), type=Result) == came
    assert came.choice is not None
    assert came.choice.kept == (LOUD,)
    assert came.choice.halves is not None
    assert all(match.by for match in came.hand_chosen)


def test_the_page_shows_the_choice_and_escapes_names(came: Result) -> None:
    goal = parse("snr 30dB", "top-1")
    page = tune_page(msgspec.structs.replace(came, left_out={"<script>alert(1)</script>": "no"}), goal)
    assert "int8_minmax~/blocks.1/fc1/MatMul" in page
    assert "<script>alert(1)" not in page
    assert "Nothing reaches" in tune_page(msgspec.structs.replace(came, choice=None, front=(), points=()), goal)
