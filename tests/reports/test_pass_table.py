"""What each pass is worth, from records of `all`, of `all` less one, and of each alone."""

from __future__ import annotations

import msgspec

from reports.pass_table import PassTable, Worth, pass_tables, told
from reports.record import GraphSize, ModelFacts, Record, Step
from reports.sections.pass_table import pass_table
from tests.reports.builders import case, run, timed

SIZE = GraphSize(500, 540, 500_000)


def ran(pipeline: str, median_us: float, **rewrites: int) -> Record:
    """A case of `pipeline` whose passes, in the order given, rewrote so much."""
    steps = tuple(Step(name, f"What {name} does.", count, SIZE, GraphSize(500 - count, 540, 500_000)) for name, count in rewrites.items())
    facts = ModelFacts("batch 1", 13, steps[-1].after if steps else SIZE, 0, 10, 5_000_000 - 1000 * len(steps), 0)
    return msgspec.structs.replace(timed(case(pipeline), median_us), steps=steps, result=facts)


def records() -> tuple[Record, ...]:
    """merge finds its nodes only behind fuse; tidy does nothing."""
    return (
        ran("", 1000.0),
        ran("all", 600.0, tidy=0, fuse=6, merge=3),
        ran("all-tidy", 600.0, fuse=6, merge=3),
        ran("all-fuse", 900.0, tidy=0, merge=0),
        ran("all-merge", 700.0, tidy=0, fuse=6),
        ran("tidy", 1000.0, tidy=0),
        ran("fuse", 800.0, fuse=6),
        ran("merge", 1000.0, merge=0),
        ran("all@reversed", 900.0, merge=0, fuse=6, tidy=0),
        ran("onnxslim", 950.0, onnxslim=9),
        ran("all+onnxslim", 580.0, tidy=0, fuse=6, merge=3, onnxslim=2),
    )


def table() -> PassTable:
    (found,) = pass_tables(run(*records()))
    return found


def worth(name: str) -> Worth:
    return next(worth for worth in table().worths if worth.name == name)


def test_a_pass_alone_is_held_against_the_raw_export_and_inside_against_all_without_it() -> None:
    fuse = worth("fuse")
    assert fuse.alone is not None
    assert fuse.inside is not None
    assert abs(fuse.alone.value - 1000 / 800) < 0.02
    assert abs(fuse.inside.value - 900 / 600) < 0.02
    assert fuse.inside.low < 1.5 < fuse.inside.high


def test_what_a_pass_rewrites_less_without_another_it_needs() -> None:
    assert worth("merge").needs == ("fuse",)
    assert worth("fuse").feeds == ("merge",)
    assert worth("fuse").needs == worth("tidy").needs == ()


def test_a_pass_worth_nothing_alone_may_be_worth_something_inside() -> None:
    merge = worth("merge")
    assert merge.alone_step is not None
    assert merge.inside_step is not None
    assert (merge.alone_step.rewrites, merge.inside_step.rewrites) == (0, 3)
    assert merge.alone is not None
    assert merge.inside is not None
    assert abs(merge.alone.value - 1) < 0.02 < merge.inside.value - 1


def test_a_pass_that_never_rewrote_anything_has_no_row_and_is_named() -> None:
    assert [found.name for found in told(table().worths)] == ["fuse", "merge"]
    text = str(pass_table.blocks(run(*records())))
    assert "No effect on this model, alone or inside: tidy." in text


def test_raw_and_all_stand_under_each_cleaner_that_was_tried() -> None:
    assert [(graph.whole, graph.cleaner) for graph in table().graphs] == [(False, ""), (False, "onnxslim"), (True, ""), (True, "onnxslim")]


def test_the_orders_that_were_tried_are_told_with_what_worked_in_them() -> None:
    assert [(order.written, order.effective) for order in table().orders] == [("all", ("fuse", "merge")), ("all@reversed", ("fuse",))]


def test_a_case_that_failed_shows_its_outcome_in_place_of_a_time() -> None:
    from reports.record import Failed

    broken = msgspec.structs.replace(ran("all-fuse", 900.0, tidy=0, merge=0), outcome=Failed("pass merge", "it broke"))
    (found,) = pass_tables(run(*(broken if r.case.pipeline == "all-fuse" else r for r in records())))
    fuse = next(worth for worth in found.worths if worth.name == "fuse")
    assert fuse.inside is None
    assert pass_table.blocks(run(broken, *records()[:2]))


def test_records_without_all_have_no_table() -> None:
    assert pass_table.blocks(run(*records()[5:8])) == ()
