"""What helped alone is tried together."""

from __future__ import annotations

from bench.tune.point import Point
from bench.tune.together import together
from reports.case import Case
from reports.statistics import Estimate


def timed(pipeline: str, speedup: float, precision: str = "int8", same_as: str = "") -> Point:
    ratio = Estimate(speedup, speedup, speedup)
    return Point(Case("m", (pipeline,), precision, 1, "b"), 0.0, True, ratio, ratio, "", same_as=same_as)


def test_what_made_all_faster_stands_in_one_pipeline_and_the_faster_option_of_one_pass() -> None:
    points = [
        timed("all", 1.2),
        timed("all.attention:a", 1.3),
        timed("all.attention:b", 1.4),
        timed("all-fold", 1.25),
        timed("all.pad:8", 1.1),
    ]
    assert together(points, "int8") == "all-fold.attention:b"


def test_one_help_is_no_togetherness_and_neither_is_another_precision_a_pair_or_the_same_program() -> None:
    points = [timed("all", 1.2), timed("all.attention:a", 1.3)]
    assert together(points, "int8") == ""
    more = [timed("all-fold", 1.5, "fp16"), timed("all.merge.pad:8", 1.5), timed("all+onnxslim", 1.6), timed("all.split", 1.7, same_as="x")]
    assert together([*points, *more], "int8") == ""


def test_without_all_nothing_is_known_to_help() -> None:
    assert together([timed("all-fold", 1.5), timed("all.pad:8", 1.4)], "int8") == ""
