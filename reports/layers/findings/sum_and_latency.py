"""A sum of layers far from the latency, and what can explain it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reports.layers.finding import Context, Finder, Finding
from reports.layers.findings._layers import latency, parallel, percent, plural, profiler_us, time_of, timed, us
from reports.layers.profile import Profile

FAR = 0.1
"""Fraction of the latency from which the shares of layers stop being shares of the latency."""


def _find(profile: Profile, context: Context) -> Sequence[Finding]:
    layers, whole = timed(profile), latency(profile)
    if not layers or not whole:
        return ()
    total = time_of(layers)
    gap = total - whole
    if abs(gap) < FAR * whole:
        return ()
    side = "more" if gap > 0 else "less"
    return (
        Finding(
            f"The layers add up to {us(total)}, {percent(abs(gap) / whole)} {side} than the latency of {us(whole)}",
            tuple(_above(profile, len(layers), gap) if gap > 0 else _below(profile, gap)),
            "Compare engines by latency, layers only with each other. Shares of short layers are overstated where the profiler "
            "adds a constant to each; measure the latency in a run of its own (trtexec --separateProfileRun)."
            if gap > 0
            else "Look at the timeline (nsys) for gaps between kernels; a CUDA graph closes those that the host causes. "
            "Make sure that both files come from the same engine, batch and clocks.",
        ),
    )


def _above(profile: Profile, layers: int, gap: float) -> Iterator[str]:
    each = gap / layers
    yield f"that is {us(each)} for each of {plural(layers, 'layer')} that took time"
    if parallel(profile):
        yield "layers ran on several streams, at the same time: their sum counts that time more than once"
    elif profiler_us(profile):
        yield "likely the profiler, which puts an event between layers and ends their overlap: public profiles show 1.5 to 7.5 µs each"
    else:
        yield "more or less than profilers usually add a layer: perhaps another clock rate, batch or engine in one of the two runs"


def _below(profile: Profile, gap: float) -> Iterator[str]:
    yield f"{us(-gap)} of the latency are in no layer: gaps between kernels, copies from and to the host if they count, or other clocks"
    if profile.enqueue_us and profile.latency_us and profile.enqueue_us > 0.5 * profile.latency_us:
        yield f"enqueueing takes the host {us(profile.enqueue_us)} a run: it may be what the GPU waits for"


sum_and_latency = Finder(_find)
