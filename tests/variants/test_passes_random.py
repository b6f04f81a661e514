"""Every pass on random graphs; the same ones in every run (tests/fuzz/passes.py looks for others)."""

from __future__ import annotations

from functools import cache

import onnx
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.variants.pass_contract import PASSES, broken, moved_by, ours, setting, small_feeds
from tests.variants.random_fragments import FRAGMENTS
from tests.variants.random_graphs import KINDS, SHAPES, Plan, Step, build, plans

EXAMPLES, SHAPES_COMPARED = 30, ((3, 3), (1, 4))
LIBRARY_EXAMPLES = 8
"""They are slow, and theirs."""


def suite(examples: int) -> settings:
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )


built = cache(build)
"""The same few graphs for every pass."""


@pytest.mark.parametrize("name", PASSES)
def test_a_pass_holds_its_contract_on_random_graphs(name: str) -> None:
    @suite(EXAMPLES if ours(PASSES[name]) else LIBRARY_EXAMPLES)
    @given(plans(near=moved_by(name)))
    def holds(plan: Plan) -> None:
        model = built(plan)
        assert not broken(PASSES[name], model, small_feeds(model, SHAPES_COMPARED), setting(model))

    holds()


@suite(100)
@given(plans(12))
def test_every_plan_is_a_valid_graph(plan: Plan) -> None:
    onnx.checker.check_model(built(plan), full_check=True)


def test_a_shorter_list_of_steps_is_a_graph_too_so_that_what_is_found_shrinks() -> None:
    steps = tuple(Step(kind, kind % 4, kind % 5, kind % 3, kind % 7) for kind in range(30))
    for shape in SHAPES:
        for start in range(0, 30, 5):
            assert len(build(Plan(steps[:start] + steps[start + 5 :], shape)).graph.node) > 5


def test_every_kind_of_fragment_is_drawn() -> None:
    assert len(FRAGMENTS) == KINDS
