"""What a profile shows that someone can act on: the type, and how every finding is looked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from common.discover import discover
from reports.layers.division import Costs
from reports.layers.profile import Profile


class Finding(msgspec.Struct, frozen=True):
    """One thing to act on. `evidence` are lines with layers and measured times; guesses are worded as such.

    `cost_us` is the measured time of the layers concerned, microseconds a run: the most that the remedy could save, None where
    no layer is to blame. `share` is its fraction (0..1) of the layers' sum.
    """

    title: str
    evidence: tuple[str, ...]
    remedy: str
    cost_us: float | None = None
    share: float | None = None


class Context(msgspec.Struct, frozen=True):
    """What is known beside the profile: the ONNX graph's costs where the file was given."""

    costs: Costs | None = None


@dataclass(frozen=True, slots=True)
class Finder:
    """What a file in findings/ declares: a profile and its context -> findings, none where there is nothing to say."""

    find: Callable[[Profile, Context], Sequence[Finding]]


def findings(profile: Profile, context: Context | None = None) -> tuple[Finding, ...]:
    """All findings, those that concern the most time first."""
    known = context or Context()
    found = [one for finder in discover("reports.layers.findings", Finder).values() for one in finder.value.find(profile, known)]
    return tuple(sorted(found, key=lambda one: -(one.cost_us or 0.0)))
