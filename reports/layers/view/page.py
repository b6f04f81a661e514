"""A page of its own for one profile, and for the diff of two."""

from __future__ import annotations

from pathlib import Path

from reports.blocks import Prose, Tile, Tiles
from reports.html import Part, page
from reports.layers.attribution import attribute, summary
from reports.layers.diff import Diff
from reports.layers.division import Costs
from reports.layers.finding import Context, findings
from reports.layers.profile import Profile
from reports.layers.tally import tally
from reports.layers.view import compare, inside
from reports.layers.view.findings import stand_out
from reports.layers.view.profile import ROWS, blocks
from reports.layers.view.text import time_us
from reports.wording import count

MOST_OF_IT = 0.8


def profile_page(profile: Profile, costs: Costs | None = None) -> str:
    """The whole page of one profile as text; `costs` of the ONNX file where that is given."""
    shown, attribution = blocks(profile.layers), attribute(profile, costs)
    words = summary(attribution)
    pictures, rest = (shown[:2], shown[2:]) if profile.sum_us else ((), shown)
    where = Part("where", "Where the time goes", "By group, by module, and how much the longest take together", pictures)
    parts = [
        Part(
            "summary",
            "Summary",
            "What was profiled, and what to know of it",
            (_tiles(profile), *([Prose(words)] if words else []), *_notes(profile)),
        ),
        Part("findings", "Findings", "What stands out, how it is known, and what to do", stand_out(findings(profile, Context(costs)))),
        *([where] if pictures else []),
        Part("nodes", "ONNX nodes", "Time of nodes and modules, also inside fused layers", inside.blocks(attribution, ROWS)),
        Part("layers", "Layers", "Every layer, the longest first; point at one for all of its fields", rest),
    ]
    return page(f"{profile.title} · trtbench layers", ("Where the time goes", _line(profile)), parts)


def diff_page(found: Diff) -> str:
    """The whole page of a diff as text."""
    parts = [
        Part("summary", "Summary", "Both totals, and what cannot be told", (compare.tiles(found), *compare.notes(found))),
        Part("groups", "Groups", "What each group brought", compare.groups(found)),
        Part("layers", "Layers", "What each layer brought; point at one for both sides", compare.layers(found, ROWS)),
    ]
    title = f"{found.before.title} → {found.after.title}"
    return page(f"{title} · trtbench layers diff", ("What changed", title), parts)


def _line(profile: Profile) -> str:
    return " · ".join((profile.title, *(f"{kind}: {Path(path).name}" for path, kind in profile.sources)))


def _notes(profile: Profile) -> tuple[Prose, ...]:
    how = "The profiler changes what it times: the sum of the layers is not the latency, and shares are shares of that sum."
    return (*(Prose(how) for _ in profile.layers[:1] if profile.sum_us), *(Prose(_sentence(note), "warn") for note in profile.notes))


def _sentence(note: str) -> str:
    return f"{note[:1].upper()}{note[1:].rstrip('.')}."


def _tiles(profile: Profile) -> Tiles:
    tiles = []
    if profile.sum_us is not None:
        runs = f"mean of {count(profile.runs, 'run')}" if profile.runs is not None else ""
        tiles.append(Tile("sum of layers", f"{time_us(profile.sum_us)} µs", runs))
    if profile.latency_us is not None:
        samples = f"median of {count(len(profile.latencies_us), 'run')}" if profile.latencies_us else "as the source says"
        tiles.append(Tile("latency", f"{time_us(profile.latency_us)} µs", samples))
    few = sum(layer.cumulative - layer.share < MOST_OF_IT for layer in profile.layers if layer.share)
    version = f"TensorRT {profile.version}" if profile.version else ""
    concentrated = f"{few:,} of them take {MOST_OF_IT:.0%} of the time" if few else ""
    tiles.append(Tile("layers", f"{len(profile.layers):,}", "\n".join(filter(None, (concentrated, version)))))
    for largest in tally(profile.layers, lambda layer: layer.group)[:1] if profile.sum_us else ():
        tiles.append(Tile("largest group", f"{largest.share:.0%}", f"{largest.name}, {count(largest.layers, 'layer')}"))
    if profile.unmatched:
        tiles.append(Tile("unmatched", f"{profile.unmatched:.1%}", "of the time is in layers that the layer info does not name", "warn"))
    return Tiles(tuple(tiles))
