"""Groups add up, and a page of many profiles keeps the longest layers."""

from __future__ import annotations

import msgspec
import pytest

from reports.blocks import Chooser, Prose, Table
from reports.record import Failed
from reports.sections.layers import CHARTED, ROWS, group_shares, layers
from tests.reports import builders
from tests.reports.builders import case, record, run, timed


def test_group_shares_add_up_to_the_whole_and_the_largest_comes_first() -> None:
    shares = group_shares(builders.layers(30))
    assert sum(share.share for share in shares) == pytest.approx(1.0)
    assert sum(share.layers for share in shares) == 30
    assert [s.share for s in shares] == sorted((s.share for s in shares), reverse=True)


def test_only_profiled_cases_can_be_chosen() -> None:
    blocks = layers.blocks(run(timed(case("fold"), 900.0), record(case("onnxsim"), Failed("onnxsim", "no"))))
    chooser = next(block for block in blocks if isinstance(block, Chooser))
    assert [option.names for option in chooser.options] == [("vit_digits", "fold", "fp32", "1", "onnxruntime")]


def test_layers_left_out_of_a_large_page_are_counted_and_weighed() -> None:
    long = msgspec.structs.replace(timed(case(), 1000.0), layers=builders.layers(ROWS + 5))
    (chooser,) = (block for block in layers.blocks(run(long)) if isinstance(block, Chooser))
    table, rest = chooser.options[0].blocks[2:]
    assert isinstance(table, Table)
    assert len(table.rows) == ROWS
    assert isinstance(rest, Prose)
    assert rest.text.startswith("5 layers of ")


def test_every_case_keeps_the_layers_of_its_chart_however_many_cases_there_are() -> None:
    cases = [timed(case(batch=n), 1000.0) for n in range(1, 4)]
    longs = [msgspec.structs.replace(one, layers=builders.layers(CHARTED + 5)) for one in cases]
    (chooser,) = (block for block in layers.blocks(run(*longs)) if isinstance(block, Chooser))
    for option in chooser.options:
        table = option.blocks[2]
        assert isinstance(table, Table)
        assert len(table.rows) >= CHARTED
