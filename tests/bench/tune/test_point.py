"""The front, the fastest within the goal, who must duel, and who does what a hand-chosen one does."""

from __future__ import annotations

from bench.tune.point import Point, contenders, fastest, front, matched_by
from reports.case import Case
from reports.statistics import Estimate


def point(name: str, speed: float, loss: float, within: bool = True, spread: float = 0.01, same_as: str = "") -> Point:
    ratio = Estimate(speed, speed * (1 - spread), speed * (1 + spread))
    return Point(Case("m", (), name, 1, "b"), loss, within, Estimate(1 / speed, 0, 1), ratio, "", same_as=same_as)


def test_the_front_holds_what_nothing_else_matches_and_beats() -> None:
    points = [point("slow", 1.0, 0.0), point("worse", 1.5, 0.3), point("best", 2.0, 0.2), point("loose", 3.0, 0.9)]
    assert [entry.case.precision for entry in front(points)] == ["loose", "best", "slow"]


def test_of_equals_the_front_shows_the_one_that_was_timed() -> None:
    points = [point("alias", 2.0, 0.1, same_as="own"), point("own", 2.0, 0.1)]
    assert [entry.case.precision for entry in front(points)] == ["own"]


def test_the_fastest_is_within_the_goal() -> None:
    points = [point("too loose", 3.0, 0.9, within=False), point("fine", 2.0, 0.2)]
    found = fastest(points)
    assert found is not None
    assert found.case.precision == "fine"
    assert fastest(points[:1]) is None


def test_only_those_whose_interval_reaches_into_the_fastests_must_duel() -> None:
    points = [point("fastest", 2.0, 0.2), point("near", 1.97, 0.1), point("far", 1.8, 0.0), point("loose", 2.0, 1.0, within=False)]
    assert [entry.case.precision for entry in contenders(points)] == ["fastest", "near"]
    assert contenders([]) == ()


def test_a_hand_chosen_one_is_matched_by_the_most_accurate_that_is_no_slower() -> None:
    points = [point("fast", 3.0, 0.2), point("exact", 2.0, 0.0), point("slow", 1.0, 0.0)]
    found = matched_by(point("hand", 1.5, 0.2), points)
    assert found is not None
    assert found.case.precision == "exact"
    assert matched_by(point("hand", 3.5, 0.2), points) is None
