"""How fast layer profiles are read: `pytest bench/test_layers.py --benchmark-only`; the large engine: `-m bench.layer_files`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.layer_files import pair
from reports.layers.profile import Profile
from reports.layers.read import read

LAYERS = 388
"""Of TREx's largest example; it takes 43 ms to load and join a pair of this size on a machine like this."""


@pytest.mark.benchmark(group="layer profiles", min_rounds=20, max_time=0.5, warmup=True, warmup_iterations=3)
@pytest.mark.parametrize("layers", [LAYERS])
def test_layers(layers: int, benchmark: Any, tmp_path: Path) -> None:
    """Load, recognise, join, group and rank a detailed pair of files."""
    profile, info = pair(layers)
    (tmp_path / "x.profile.json").write_bytes(profile)
    (tmp_path / "x.graph.json").write_bytes(info)
    benchmark.extra_info.update(profile_bytes=len(profile), layer_info_bytes=len(info))
    found: Profile = benchmark(read, [tmp_path / "x.profile.json"])
    assert (len(found.layers), found.unmatched) == (layers, 0)
