"""Profiles and diffs as JSON and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from reports.layers.diff import Diff, Movement
from reports.layers.flat import Value, row
from reports.layers.layer import Layer
from reports.layers.profile import Profile


def layers(profile: Profile, shown: Sequence[Layer], as_csv: bool) -> str:
    """What the profile is and its layers, every field; CSV has the layers alone."""
    if as_csv:
        return table([row(layer) for layer in shown])
    return pretty({**head(profile), "layers": shown})


def rows(profile: Profile, summed: Sequence[msgspec.Struct], as_csv: bool) -> str:
    """The same of what layers were summed to."""
    if as_csv:
        plain = [msgspec.to_builtins(one) for one in summed]
        return table([{name: value for name, value in one.items() if not isinstance(value, list)} for one in plain])
    return pretty({**head(profile), "rows": summed})


def changes(found: Diff, most: int | None) -> str:
    """Both heads, groups, waterfall and movements, layers by name."""
    return pretty(
        {
            "before": {**head(found.before), "sum_us": found.before_us},
            "after": {**head(found.after), "sum_us": found.after_us},
            "change_us": found.change_us,
            "notes": found.notes,
            "groups": found.groups,
            "waterfall": found.waterfall,
            "movements": [movement(one) for one in found.movements[:most]],
        }
    )


def movement(found: Movement) -> dict[str, Any]:
    """The fields of a movement with its layers by name."""
    names = {field: getattr(found, field) for field in found.__struct_fields__}
    return {**names, "doubtful": found.doubtful, **{side: [layer.name for layer in names[side]] for side in ("before", "after")}}


def head(profile: Profile) -> dict[str, Any]:
    """What is said of the profile as a whole; the samples of the latency are left out."""
    return {field: getattr(profile, field) for field in profile.__struct_fields__ if field not in ("layers", "latencies_us")}


def table(lines: Sequence[Mapping[str, Value]]) -> str:
    """CSV with a head."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(lines[0]) if lines else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def pretty(data: object) -> str:
    """Indented JSON and a line end."""
    return msgspec.json.format(msgspec.json.encode(data), indent=2).decode() + "\n"
