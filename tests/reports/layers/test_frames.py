"""Profiles as pandas frames."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reports.layers import frames


def write(path: Path, **times: float) -> Path:
    rows = [{"name": name, "timeMs": us / 100, "averageMs": us / 1000, "percentage": 1} for name, us in times.items()]
    path.write_text(json.dumps([{"count": 10}, *rows]))
    return path


def test_a_frame_has_a_row_a_layer_and_says_what_the_whole_is(tmp_path: Path) -> None:
    frame = frames.layers(write(tmp_path / "p.json", Conv_0=3, Relu_1=1))
    assert list(frame.name) == ["Conv_0", "Relu_1"]
    assert frame.share.sum() == pytest.approx(1)
    assert frame.attrs["runs"] == 10


def test_groups_nodes_and_modules_add_up_to_the_layers(tmp_path: Path) -> None:
    path = write(tmp_path / "p.json", **{"/a/Conv + /a/Relu": 3, "/b/Conv": 1})
    assert frames.by_group(path).mean_us.sum() == pytest.approx(4)
    assert frames.by_module(path).time_us.sum() == pytest.approx(4)
    nodes = frames.by_node(path).set_index("name")
    assert nodes.time_us.sum() == pytest.approx(4)
    assert nodes.layers_us["/a/Relu"] == pytest.approx(3)


def test_a_diff_adds_up(tmp_path: Path) -> None:
    before, after = write(tmp_path / "a.json", x=3, y=1), write(tmp_path / "b.json", x=2, z=5)
    found = frames.diff(before, (after,))
    assert found.attrs["before_us"] + found.change_us.sum() == found.attrs["after_us"]
    assert set(found.kind) == {"kept", "appeared", "vanished"} or "type and order" in set(found.how)
