"""Groups add up, and a page of many profiles keeps the longest layers."""

from __future__ import annotations

import msgspec
import pytest

from reports.blocks import Beside, Chart, Chooser, Prose, Table, Tree
from reports.layers.layer import Layer
from reports.layers.tally import tally
from reports.layers.view.profile import AREAS, MARKS, ROWS
from reports.layers.view.ranked import CHARTED
from reports.layers.view.tree import SHORTER
from reports.record import Failed, Record
from reports.sections.layers import layers
from tests.reports import builders
from tests.reports.builders import case, record, run, timed


def timed_with(profile: tuple[Layer, ...]) -> Record:
    return msgspec.structs.replace(timed(case(), 1000.0), layers=profile)


def test_group_shares_add_up_to_the_whole_and_the_largest_comes_first() -> None:
    shares = tally(builders.layers(30), lambda layer: layer.group)
    assert sum(share.share for share in shares) == pytest.approx(1.0)
    assert sum(share.layers for share in shares) == 30
    assert [s.share for s in shares] == sorted((s.share for s in shares), reverse=True)


def test_only_profiled_cases_can_be_chosen() -> None:
    blocks = layers.blocks(run(timed(case("fold"), 900.0), record(case("onnxsim"), Failed("onnxsim", "no"))))
    chooser = next(block for block in blocks if isinstance(block, Chooser))
    assert [option.names for option in chooser.options] == [("vit_digits", "fold", "fp32", "1", "onnxruntime")]


def test_layers_left_out_of_a_large_page_are_counted_and_weighed() -> None:
    (chooser,) = (block for block in layers.blocks(run(timed_with(builders.layers(ROWS + 5)))) if isinstance(block, Chooser))
    beside, tree, _, table, rest = chooser.options[0].blocks
    assert isinstance(table, Table)
    assert len(table.rows) == ROWS
    assert isinstance(rest, Prose)
    assert rest.text.startswith("5 layers of ")
    assert isinstance(tree, Tree)
    assert sum(name == SHORTER for name in tree.names) > 0
    assert len(tree.names) < 2 * AREAS
    assert isinstance(beside, Beside)
    curve = beside.blocks[1]
    assert isinstance(curve, Chart)
    assert len(curve.traces[0].x) == MARKS


def test_areas_hold_what_is_inside_them_and_the_whole_is_the_sum() -> None:
    (chooser,) = (block for block in layers.blocks(run(timed_with(builders.layers(ROWS + 5)))) if isinstance(block, Chooser))
    (tree,) = (block for block in chooser.options[0].blocks if isinstance(block, Tree))
    inside: dict[int, float] = {}
    for parent, value in zip(tree.parents, tree.values, strict=True):
        inside[parent] = inside.get(parent, 0.0) + value
    assert inside[-1] == pytest.approx(sum(layer.mean_us or 0 for layer in builders.layers(ROWS + 5)))
    assert all(inside[parent] == pytest.approx(tree.values[parent]) for parent in inside if parent >= 0)


def test_every_case_keeps_the_layers_of_its_chart_however_many_cases_there_are() -> None:
    cases = [timed(case(batch=n), 1000.0) for n in range(1, 4)]
    longs = [msgspec.structs.replace(one, layers=builders.layers(CHARTED + 5)) for one in cases]
    (chooser,) = (block for block in layers.blocks(run(*longs)) if isinstance(block, Chooser))
    for option in chooser.options:
        (table,) = (block for block in option.blocks if isinstance(block, Table))
        assert len(table.rows) >= CHARTED
