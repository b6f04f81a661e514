"""The whole search in a made world, where the best answer is known."""

from __future__ import annotations

import msgspec
import pytest

from bench.tune.point import front
from bench.tune.search import search
from bench.tune.sensing import sense
from reports.case import Case
from reports.record import Measured, Record
from reports.statistics import Estimate
from tests.bench.tune.made import MadeWorld, network, quest

UNITS = [f"/blocks.{block}/{layer}" for block in range(3) for layer in ("fc1", "fc2")]
LOUD = "/blocks.1/fc1"


def world(**noise: float) -> MadeWorld:
    """Every unit saves 50 us; LOUD makes a hundred times the noise of the others."""
    quiet = dict.fromkeys(UNITS, 1e-5) | {LOUD: 1e-2}
    return MadeWorld(network(), quiet, dict.fromkeys(UNITS, 50.0), passes_us={"fold": 20.0})


def test_exactly_the_loud_unit_is_ranked_first_and_kept() -> None:
    found = search(quest(world()))
    assert found.winner is not None
    assert found.winner.case.precision == "int8_minmax~/blocks.1/fc1/MatMul"
    assert found.winner.case.pipeline == "fold"
    assert found.sensitivities[0].unit == LOUD
    assert found.kept[found.winner.case.precision] == (LOUD,)


def test_of_a_precision_of_two_parts_nodes_are_kept_out_of_both() -> None:
    asked = quest(world())
    asked.names = tuple(node.name for node in asked.world.graph(asked.space.case("none", "fp32")).graph.node)
    assert asked.keeping("int8_minmax+fp16", {f"{LOUD}/MatMul"}) == f"int8_minmax~{LOUD}/MatMul+fp16~{LOUD}/MatMul"


def test_of_many_units_blocks_come_first_and_the_worst_is_refined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.tune.sensing.MOST_UNITS", 1)
    made = world()
    found = search(quest(made))
    assert found.winner is not None
    assert found.winner.case.precision == "int8_minmax~/blocks.1/fc1/MatMul"
    assert [entry.unit for entry in found.sensitivities] == [LOUD, "/blocks.0", "/blocks.2", "/blocks.1/fc2"]


def test_where_the_budget_ends_in_the_refinement_the_blocks_are_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.tune.sensing.MOST_UNITS", 1)
    seen = set()
    for seconds in range(10, 120):
        sensed = sense(quest(world(), seconds=seconds))
        labels = tuple(entry.unit for entry in sensed[0].ranking)
        assert {unit.label for unit in sensed[0].units} >= set(labels)
        seen.add(labels)
    assert ("/blocks.1", "/blocks.0", "/blocks.2") in seen
    assert (LOUD, "/blocks.0", "/blocks.2", "/blocks.1/fc2") in seen


def test_where_the_whole_precision_is_good_enough_nothing_is_kept() -> None:
    even = MadeWorld(network(), dict.fromkeys(UNITS, 1e-5), dict.fromkeys(UNITS, 50.0))
    found = search(quest(even))
    assert found.winner is not None
    assert found.winner.case.precision == "int8_minmax"


def test_a_unit_that_is_slower_low_is_kept_high_though_accuracy_does_not_ask_for_it() -> None:
    slow = MadeWorld(network(), dict.fromkeys(UNITS, 1e-5), dict.fromkeys(UNITS, 50.0) | {"/blocks.2/fc2": -80.0})
    found = search(quest(slow))
    assert found.winner is not None
    assert found.winner.case.precision == "int8_minmax~/blocks.2/fc2/MatMul"


def test_a_precision_that_gains_nothing_is_ranked_but_no_set_is_looked_for() -> None:
    idle = MadeWorld(network(), dict.fromkeys(UNITS, 1e-2), dict.fromkeys(UNITS, 0.0))
    found = search(quest(idle))
    assert found.left_out["sets to keep high in int8_minmax"] == "its layers save no time here"
    assert found.sensitivities
    assert found.winner is not None
    assert found.winner.case.precision == "fp32"


def test_a_precision_that_does_not_run_is_left_out_with_the_backends_reason() -> None:
    assert search(quest(world())).left_out["fp16"] == "no kernels"


def test_a_pipeline_that_the_graph_refuses_is_left_out_with_the_reason() -> None:
    found = search(quest(world(), pipelines=("none", "refused")))
    assert any(reason == "refused: not with this graph" for reason in found.left_out.values())
    assert found.winner is not None


def test_a_pipeline_without_a_pass_that_does_nothing_is_not_tried_beside_the_whole() -> None:
    made = world()
    found = search(quest(made, pipelines=("none", "all", "all-fold", "all-fuse_gelu")))
    assert "rewrites nothing in 'all'" in found.left_out["all-fold"]
    timed = {text.split()[1] for text in made.log if text.startswith("time ")}
    assert {"all", "all-fuse_gelu"} <= timed
    assert "all-fold" not in timed


def test_a_pipeline_that_breaks_the_graph_is_not_where_sensitivity_is_found() -> None:
    asked = quest(world(), pipelines=("broken", "alone"))
    found = search(asked)
    assert asked.start == "alone"
    assert found.left_out["broken"] == "broken: breaks this graph"
    assert found.winner is not None


def test_one_program_is_timed_once_whatever_it_is_called() -> None:
    made = world()
    made.program = lambda case: case.precision  # type: ignore[method-assign]
    found = search(quest(made))
    timed = [text for text in made.log if text.startswith("time ")]
    assert len({text.split()[2] for text in timed}) == len(timed)
    named = {entry.case.id: entry for entry in found.points}
    assert named["made-fold-fp32-b8-onnxruntime"].same_as == "made-none-fp32-b8-onnxruntime"
    assert named["made-fold-fp32-b8-onnxruntime"].hand


def test_the_raw_export_is_as_fast_as_itself_whatever_noise_its_copy_showed() -> None:
    made = world()
    plain = made.record

    def noisy(case: Case) -> Record:
        record = plain(case)
        outcome = record.outcome
        assert isinstance(outcome, Measured)
        name = "made-none-fp32-b8-onnxruntime"
        double = tuple((2 * us,) for (us,) in outcome.baseline_blocks_us)
        itself = msgspec.structs.replace(outcome, baseline=name, baseline_blocks_us=double)
        return msgspec.structs.replace(record, outcome=itself) if case.id == name else record

    made.record = noisy  # type: ignore[method-assign]
    found = search(quest(made))
    assert next(entry for entry in found.points if entry.case.id == "made-none-fp32-b8-onnxruntime").speedup.value == 1
    assert found.noise is not None
    assert found.noise.value == pytest.approx(2)


def test_for_every_hand_chosen_combination_the_front_has_a_point_no_worse_and_no_slower() -> None:
    found = search(quest(world()))
    hand = [entry for entry in found.points if entry.hand]
    assert {entry.case.pipeline for entry in hand} == {"none", "fold"}
    best = front(found.points)
    for entry in hand:
        assert any(other.loss <= entry.loss and other.speedup.value >= entry.speedup.value for other in best)


def test_a_goal_out_of_reach_has_no_winner_but_says_how_near_it_came() -> None:
    found = search(quest(world(), "snr 200dB"))
    assert found.winner is None
    assert min(found.nearest.values()) == pytest.approx(-120, abs=0.1)


def test_a_short_budget_stops_with_the_best_so_far_and_says_what_was_not_tried() -> None:
    whole = quest(world())
    search(whole)
    short = quest(world(), seconds=0.8 * whole.budget.spent)
    found = search(short)
    assert found.untried
    assert len(found.points) < len(whole.found.points)
    assert found.winner is not None


def test_even_no_time_at_all_is_no_error() -> None:
    found = search(quest(world(), seconds=1e-9))
    assert found.winner is None
    assert found.points == []
    assert any(text.startswith("sensitivity of /blocks.0 in int8_minmax") for text in found.untried)
    assert any(text.startswith("timing of made-none-fp32") for text in found.untried)


def test_of_two_too_near_to_call_the_one_that_wins_the_duel_is_chosen() -> None:
    choices = set()
    for winner in ("none", "fold"):
        made = world()
        made.passes_us = {}
        made.duel = lambda one, other, winner=winner: Estimate(*[1.1 if one.pipeline == winner else 0.9] * 3)  # type: ignore[method-assign,misc]
        found = search(quest(made))
        assert found.duels
        assert found.winner is not None
        choices.add((winner, found.winner.case.pipeline))
    assert choices == {("none", "none"), ("fold", "fold")}
