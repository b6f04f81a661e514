"""An outlier channel that full int8 does not survive: real quantisation, real runs, accuracy alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from bench.matrix import presets
from bench.own_models import with_own
from bench.session import open_session
from bench.tune.budget import Budget
from bench.tune.candidates import Space
from bench.tune.goal import parse
from bench.tune.keeping import keep
from bench.tune.lab import Lab
from bench.tune.notebook import Notebook
from bench.tune.quest import Quest
from bench.tune.sensing import sense
from reports.case import Case
from tests.bench.tune.made import WIDTH, network
from variants.own import opened

PLANTED = "/blocks.2/fc1"


class Untimed(Lab):
    """The lab without a clock: every layer takes one microsecond in fp32 and half of one in int8."""

    def profile(self, case: Case) -> list[tuple[str, float]]:
        us = 1.0 if case.precision == "fp32" else 0.5
        return [(f"/blocks.{block}/{layer}/MatMul", us) for block in range(4) for layer in ("fc1", "fc2")]


@pytest.fixture
def quest(tmp_path: Path) -> Iterator[Quest]:
    onnx.save(network(4, planted=2), tmp_path / "planted.onnx")
    # Every input leans to one of the outputs, so that the decision between them is none of chance.
    inputs = (
        np.random.default_rng(1).standard_normal((120, WIDTH), np.float32) + 6 * np.eye(WIDTH, dtype=np.float32)[np.arange(120) % WIDTH]
    )
    np.savez(tmp_path / "inputs.npz", x=inputs)
    said = {"onnx": [str(tmp_path / "planted.onnx")], "dim": [], "inputs": str(tmp_path / "inputs.npz"), "reference": None}
    name = with_own(None, said.__getitem__)
    assert name
    session = open_session(tmp_path / "results", tmp_path / "cache", presets()["quick"], "tune", "run")
    space = Space(name, 8, "onnxruntime", ("none",), ("fp32", "int8_minmax"), ())
    goal = parse("snr 30dB", "agreement")
    yield Quest(Untimed(session, Notebook(tmp_path / "notes")), space, goal, Budget(600), lambda *_: None)
    session.lock.close()
    opened.close_all()


def test_the_planted_channel_leaves_the_function_as_it_was() -> None:
    x = np.random.default_rng(0).standard_normal((16, WIDTH), np.float32)
    outputs = [onnxruntime.InferenceSession(network(4, at).SerializeToString()).run(None, {"x": x})[0] for at in (None, 2)]
    np.testing.assert_allclose(outputs[0], outputs[1], rtol=1e-4, atol=1e-4)


def test_full_int8_fails_and_the_planted_layer_is_found_first_and_alone_kept(quest: Quest) -> None:
    (family,) = sense(quest)
    full = quest.probe("int8_minmax").accuracy
    assert full is not None
    assert not quest.goal.holds(full)
    assert family.ranking[0].unit == PLANTED
    assert family.ranking[0].score > 10 * family.ranking[1].score
    texts = keep(quest, (family,))
    assert texts[0] == f"int8_minmax~{PLANTED}/MatMul"
    kept = quest.probe(texts[0]).accuracy
    assert kept is not None
    assert quest.goal.holds(kept)
    assert kept.worst_snr_db > full.worst_snr_db + 10


def test_an_interrupted_search_asks_nothing_twice(quest: Quest) -> None:
    assert isinstance(quest.world, Lab)
    sense(quest)
    written = quest.world.notebook.written
    again = Notebook(quest.world.notebook.path)
    sense(Quest(Untimed(quest.world.session, again), quest.space, quest.goal, Budget(600), lambda *_: None))
    assert written > 16
    assert again.written == 0


def test_probes_leave_no_graph_and_no_plan_in_the_cache(quest: Quest) -> None:
    sense(quest)
    root = quest.world.session.cache.root  # type: ignore[attr-defined]
    for stage in ("precision", "build"):
        assert len(list((root / stage).iterdir() if (root / stage).exists() else ())) <= 1
