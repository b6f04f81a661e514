"""Layers that ran on several streams at once."""

from __future__ import annotations

from collections.abc import Sequence

from reports.layers.finding import Context, Finder, Finding
from reports.layers.findings._layers import percent, plural, share_of, time_of, timed, us
from reports.layers.layer import Layer
from reports.layers.profile import Profile

REMEDY = (
    "Layer times and shares may overlap: judge by the latency. Building with --maxAuxStreams=0 puts all on one stream, "
    "for a profile that adds up; compare the latency of both engines, since the streams may be worth having."
)


def _find(profile: Profile, context: Context) -> Sequence[Finding]:
    by_stream: dict[int, list[Layer]] = {}
    for layer in timed(profile):
        if layer.stream is not None:
            by_stream.setdefault(layer.stream, []).append(layer)
    if len(by_stream) > 1:
        ordered = sorted(by_stream.items(), key=lambda item: -time_of(item[1]))
        evidence = tuple(
            f"stream {s}: {plural(len(on), 'layer')}, {us(time_of(on))} ({percent(share_of(on, profile))})" for s, on in ordered
        )
        return (Finding(f"Layers ran on {len(by_stream)} streams, so their sum is not the time of a run", evidence, REMEDY),)
    said = tuple(note for note in profile.notes if "auxiliary stream" in note)
    return (Finding("The engine uses auxiliary streams, so the layers' sum is not the time of a run", said, REMEDY),) if said else ()


streams = Finder(_find)
