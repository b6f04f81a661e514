"""Looks for random graphs that passes break: `python -m tests.fuzz.passes [--examples 500] [--seed 0] [PASS...]`; prints the smallest."""

from __future__ import annotations

import argparse
import time

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.variants.pass_contract import PASSES, SMALL_SHAPES, broken, moved_by, setting, small_feeds
from tests.variants.random_graphs import Plan, build, plans


def fuzz(name: str, examples: int, start: int) -> str:
    """ "" or the smallest plan found that the pass breaks, and what it breaks."""

    @seed(start)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        print_blob=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(plans(12, moved_by(name)))
    def search(plan: Plan) -> None:
        model = build(plan)
        said = broken(PASSES[name], model, small_feeds(model, SMALL_SHAPES), setting(model))
        assert not said, f"{said}\n    {plan}"

    try:
        search()
    except Exception as error:  # a pass may raise whatever it likes: that is a finding
        return f"{type(error).__name__}: {error}"
    return ""


def main() -> None:
    """One line a pass, more where something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("passes", nargs="*", default=[])
    parser.add_argument("--examples", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    given_words = parser.parse_args()
    for name in given_words.passes or PASSES:
        begun = time.perf_counter()
        found = fuzz(name, given_words.examples, given_words.seed)
        print(f"{name:32} {time.perf_counter() - begun:6.1f} s {found or 'nothing found'}", flush=True)


if __name__ == "__main__":
    main()
