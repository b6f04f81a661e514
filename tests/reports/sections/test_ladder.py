"""The ladder's order, what each rung builds on, and what it may say."""

from __future__ import annotations

import msgspec

from reports.blocks import Chooser, Prose, Table
from reports.case import Case
from reports.record import Inaccurate, Record
from reports.sections.ladder import STACKED, ladder, rungs
from tests.reports.builders import case, record, run, step, timed


def climb(*cases: Case) -> list[tuple[int, str]]:
    return [(rung.depth, rung.step) for rung in rungs(run(*(timed(one, 900.0) for one in cases)).entries)]


def first_table(*records: Record) -> Table:
    return next(block for block in ladder.blocks(run(*records)) if isinstance(block, Table))


def texts(table: Table, row: int) -> dict[str, str]:
    """A row by its column titles; of two columns of one title the later."""
    return {column.title: cell.text for column, cell in zip(table.columns, table.rows[row], strict=True)}


def test_passes_are_added_one_by_one_then_precisions() -> None:
    found = climb(case("fold+fuse_layernorm", "fp16"), case("fold+fuse_layernorm"), case("fold"), case(), case("", "int8"))
    assert found == [
        (0, "plain export, fp32"),
        (1, "+ fold"),
        (2, "+ fuse_layernorm"),
        (0, "fold+fuse_layernorm → fp16"),
        (0, "none → int8"),
    ]


def test_the_longest_branch_comes_before_the_alternatives() -> None:
    found = climb(case(), case("onnxsim"), case("fold"), case("fold+onnxslim"))
    assert [step for _, step in found] == ["plain export, fp32", "+ fold", "+ onnxslim", "+ onnxsim"]


def test_steps_that_were_only_run_together_are_one_rung() -> None:
    assert climb(case(), case("fold+onnxslim"))[1] == (1, "+ fold + onnxslim")


def test_without_the_plain_export_the_shortest_pipeline_begins() -> None:
    assert climb(case("fold"), case("fold+onnxslim")) == [(0, "+ fold"), (1, "+ onnxslim")]


def test_a_precision_builds_on_fp32_with_the_same_passes() -> None:
    ladder_of = rungs(run(timed(case("fold"), 900.0), timed(case("fold", "fp16"), 700.0)).entries)
    assert ladder_of[1].below is ladder_of[0].entry


def test_a_clear_gain_is_claimed_against_the_first_row_and_for_the_step_alone() -> None:
    table = first_table(timed(case(), 1000.0), timed(case("fold"), 800.0), timed(case("fold+onnxslim"), 400.0))
    row = texts(table, 2)
    assert row["speedup"].startswith("2.5") or row["speedup"].startswith("2.49")
    assert row["step alone"].startswith(("2.0", "1.99"))
    assert (row["against first row"], row["against parent"]) == ("faster", "faster")


def test_a_step_that_brought_nothing_is_not_called_faster_or_slower() -> None:
    table = first_table(timed(case(), 1000.0), timed(case("fold"), 1000.0))
    row = texts(table, 1)
    assert row["against first row"] in ("no difference seen", "within the noise (±0.1%)")


def test_an_inaccurate_rung_has_no_speed() -> None:
    table = first_table(timed(case(), 1000.0), record(case("fold", "int8"), Inaccurate("9 dB")))
    row = texts(table, 1)
    assert row["against first row"] == "inaccurate: no speed"
    assert row["median"] == row["speedup"] == "–"


def test_a_note_such_as_unsettled_is_marked_at_the_step_and_told_below() -> None:
    plain = timed(case(), 1000.0)
    noted = msgspec.structs.replace(plain, outcome=msgspec.structs.replace(plain.outcome, notes=("unsettled",)))
    blocks = ladder.blocks(run(noted))
    assert first_table(noted).rows[0][0].text == "plain export, fp32 †"
    assert blocks[-1] == Prose("† unsettled")


def test_many_ladders_are_chosen_from_instead_of_stacked() -> None:
    places = [timed(case(batch=batch), 1000.0) for batch in range(1, STACKED + 2)]
    assert not any(isinstance(block, Chooser) for block in ladder.blocks(run(*places[:STACKED])))
    assert any(isinstance(block, Chooser) for block in ladder.blocks(run(*places)))


def test_networks_of_another_source_stand_apart_beside_the_plain_export() -> None:
    layered = msgspec.structs.replace(case(), source="api")
    found = rungs(
        run(timed(layered, 800.0), timed(case(), 1000.0), timed(msgspec.structs.replace(layered, precision="fp16"), 500.0)).entries
    )
    assert [rung.step for rung in found] == ["plain export, fp32", "api → fp32", "api → fp16"]
    assert [rung.below and rung.below.case for rung in found] == [None, case(), case()]
    assert [rung.entry.is_plain for rung in found] == [True, False, False]


def test_a_precision_stands_on_all_rather_than_on_two_passes_by_name() -> None:
    many = tuple(step(name) for name in ("a", "b", "c", "d"))
    plain, low = timed(case("all"), 700.0), timed(case("all", "fp16"), 600.0)
    records = [timed(case(), 1000.0), timed(case("a+b"), 900.0), timed(case("a+b", "fp16"), 800.0)]
    records += [msgspec.structs.replace(plain, steps=many), msgspec.structs.replace(low, steps=(*many, step("fp16")))]
    last = rungs(run(*records).entries)[-1]
    assert (last.step, last.below.case.pipeline if last.below else "") == ("all → fp16", "all")
