"""The page's colours: each stands out from the paper and from every other one, for colour-blind readers too."""

from __future__ import annotations

import re
from itertools import combinations
from math import hypot
from pathlib import Path
from typing import TypeAlias

import pytest

import reports
from reports.layers.layer import GROUPS
from reports.layers.view.ranked import colour

TEMPLATES = Path(reports.__file__).parent / "templates"
PALETTES = [dict(re.findall(r"--(c\d+|paper): (#[0-9a-f]{6})", mode)) for mode in (TEMPLATES / "style.css").read_text().split("@media")[:3]]
SCHEMES = {"light": PALETTES[0], "dark": PALETTES[2]}
Triple: TypeAlias = tuple[float, ...]
SEEN = {
    "everybody": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no red": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "no green": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "no blue": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}
"""What linear red, green and blue become for an eye without one kind of cone: Machado, Oliveira and Fernandes 2009."""
XYZ = ((0.4339, 0.3762, 0.1899), (0.2126, 0.7152, 0.0722), (0.0177, 0.1095, 0.8730))
"""Linear sRGB to X, Y and Z of its white."""
LEAST = 10.0
"""CIE 1976 distance; 2.3 is just seen side by side."""


def linear(code: str) -> Triple:
    parts = [int(code[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return tuple(part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)


def times(matrix: tuple[Triple, ...], colour: Triple) -> Triple:
    return tuple(min(max(sum(a * b for a, b in zip(row, colour, strict=True)), 0.0), 1.0) for row in matrix)


def lab(colour: Triple) -> Triple:
    x, y, z = (part ** (1 / 3) if part > 0.008856 else 7.787 * part + 16 / 116 for part in times(XYZ, colour))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def bright(code: str) -> float:
    return times(XYZ, linear(code))[1] + 0.05


def test_every_group_has_a_colour_of_its_own_and_other_is_grey() -> None:
    used = [colour(group) for group in GROUPS]
    assert len(set(used)) == len(GROUPS)
    assert used[-1] == 0
    for palette in SCHEMES.values():
        assert {f"c{at}" for at in used} <= palette.keys()
        _, a, b = lab(linear(palette["c0"]))
        assert hypot(a, b) < 15
    for script in ("chart.js", "table.js"):
        assert "% COLOURS" in (TEMPLATES / script).read_text()
    assert f"COLOURS = {len(PALETTES[0]) - 1};" in (TEMPLATES / "chart.js").read_text()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_colour_stands_out_from_the_paper(scheme: str) -> None:
    palette = dict(SCHEMES[scheme])
    paper = bright(palette.pop("paper"))
    contrast = {name: max(bright(code), paper) / min(bright(code), paper) for name, code in palette.items()}
    assert not {name: ratio for name, ratio in contrast.items() if ratio < 3}


@pytest.mark.parametrize("eye", SEEN)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_two_colours_can_be_told_apart(scheme: str, eye: str) -> None:
    seen = {name: lab(times(SEEN[eye], linear(code))) for name, code in SCHEMES[scheme].items() if name != "paper"}
    apart = {(a, b): sum((x - y) ** 2 for x, y in zip(seen[a], seen[b], strict=True)) ** 0.5 for a, b in combinations(seen, 2)}
    assert not {pair: distance for pair, distance in apart.items() if distance < LEAST}
