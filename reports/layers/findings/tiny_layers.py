"""Many layers so short that launching them costs as much as their work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reports.layers.finding import Context, Finder, Finding
from reports.layers.findings._layers import lines, on_gpu, percent, plural, profiler_us, share_of, time_of, timed, us
from reports.layers.profile import Profile

TINY_US = 5.0
"""A launch and the gap behind it take 2 to 5 µs on current GPUs; a layer below that is not bound by its own work."""
LEAST, SHARE = 10, 0.1
"""So many of them, taking that share of the time."""
BUSY = 0.9
"""Of the latency, that the host takes to enqueue a run: from there the GPU may be waiting for it."""


def _find(profile: Profile, context: Context) -> Sequence[Finding]:
    return (*_tiny(profile), *_enqueue(profile)) if on_gpu(profile) else ()


def _tiny(profile: Profile) -> Iterator[Finding]:
    layers = timed(profile)
    added = profiler_us(profile)
    found = [layer for layer in layers if (layer.mean_us or 0.0) / max(layer.calls, 1) - added < TINY_US]
    share = share_of(found, profile)
    if len(found) < LEAST or share < SHARE:
        return
    but = " without the profiler's part" if added else ""
    yield Finding(
        f"{len(found)} of {plural(len(layers), 'layer')} take less than {us(TINY_US)} each{but}, {percent(share)} of the time together",
        (*((f"the profiler seems to add {us(added)} to each layer; times below include it",) if added else ()), *lines(found, profile)),
        "Such layers are likely bound by launching. A CUDA graph "
        "(trtexec --useCudaGraph), a larger batch, or fewer and larger operators (fusions, a plugin) reduce it; the layer times "
        "here cannot tell how much, the latency can.",
        time_of(found),
        share,
    )


def _enqueue(profile: Profile) -> Iterator[Finding]:
    enqueue, latency = profile.enqueue_us, profile.latency_us
    if enqueue is None or not latency or enqueue < BUSY * latency:
        return
    yield Finding(
        f"Enqueueing a run takes the host {us(enqueue)}, the GPU {us(latency)} to compute it",
        (f"enqueue time is {percent(enqueue / latency)} of the GPU compute time",),
        "The GPU may be waiting for the host: use a CUDA graph (trtexec --useCudaGraph), a larger batch or several streams.",
    )


tiny_layers = Finder(_find)
