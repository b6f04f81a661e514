"""Synthesised speech-like signals and their log-mel features: there is no recording here, and none is claimed.

A glottal pulse train with a falling pitch drives three moving formants (vowels), noise makes fricatives, and pauses stand
between words. What matters to a speech encoder's activations is like speech: 80 bins that differ by some 10 nats, harmonics,
formants that move within 50 ms, silence, and utterances of different lengths.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from variants.variant import Array

RATE = 16_000
"""Samples a second."""
HOP, WINDOW, FFT = 160, 400, 512
"""Samples: a frame of 25 ms every 10 ms, as in Kaldi and WeNet."""
BINS = 80
SCALE = 32_768
"""WeNet's features are of 16-bit samples."""
VOWELS = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410), (490, 1350, 1690))
"""Mean formants of American men in Hz (Peterson and Barney 1952)."""
BANDWIDTHS = (80.0, 120.0, 180.0)
HARMONICS = 24
STEP = 80
"""Samples between two values of pitch and formants."""


@dataclass(frozen=True, slots=True)
class Utterances:
    """`features` float32 [n, frames, 80], zero behind each one's end; `lengths` int32 [n], frames."""

    features: Array
    lengths: Array


@cache
def load(seed: int, count: int, longest: float = 3.0) -> Utterances:
    """`count` utterances of 1 s to `longest` seconds; the first has the full length, so that shapes do not depend on chance."""
    draw = np.random.default_rng(seed)
    seconds = np.concatenate([[longest], draw.uniform(1.0, longest, count - 1)])
    made = [log_mel(synthesise(draw, length)) for length in seconds]
    features = np.zeros((count, max(map(len, made)), BINS), np.float32)
    for row, feature in zip(features, made, strict=True):
        row[: len(feature)] = feature
    return Utterances(features, np.array([len(feature) for feature in made], np.int32))


def synthesise(draw: np.random.Generator, seconds: float) -> Array:
    """float64 samples at 16 kHz within about -0.5 to 0.5."""
    count = int(seconds * RATE) // STEP
    formants, voiced, noisy = _score(draw, count)
    pitch = draw.uniform(90, 220) * np.linspace(1.15, 0.85, count) * (1 + 0.02 * np.sin(np.arange(count) / 30))
    times, steps = np.arange(count * STEP), np.arange(count) * STEP
    phase = 2 * np.pi * np.cumsum(np.interp(times, steps, pitch)) / RATE
    signal = np.zeros(count * STEP)
    for harmonic in range(1, HARMONICS + 1):
        gain = sum(1 / (1 + ((harmonic * pitch - formants[k]) / BANDWIDTHS[k]) ** 2) for k in range(len(BANDWIDTHS)))
        signal += np.interp(times, steps, gain * voiced / harmonic**0.5) * np.sin(harmonic * phase)
    noise = np.diff(draw.normal(size=count * STEP + 1))
    samples: Array = 0.1 * signal + 0.03 * np.interp(times, steps, noisy) * noise + 3e-4 * draw.normal(size=count * STEP)
    return samples


def _score(draw: np.random.Generator, count: int) -> tuple[Array, Array, Array]:
    """What is spoken at each step: formants [3, count] in Hz, loudness of voice and of noise [count], all smooth over 40 ms."""
    formants, voiced, noisy = np.zeros((3, count)), np.zeros(count), np.zeros(count)
    at = 0
    while at < count:
        length = int(draw.uniform(0.06, 0.2) * RATE / STEP)
        here = slice(at, at + length)
        kind = draw.choice(["vowel", "fricative", "pause"], p=[0.65, 0.22, 0.13])
        formants[:, here] = (np.array(VOWELS[draw.integers(len(VOWELS))]) * draw.uniform(0.9, 1.1))[:, None]
        voiced[here] = draw.uniform(0.5, 1.0) if kind == "vowel" else 0.0
        noisy[here] = draw.uniform(0.3, 1.0) if kind == "fricative" else 0.0
        at += length
    smooth = np.hanning(9) / np.hanning(9).sum()
    tracks = [np.convolve(np.pad(track, 4, mode="edge"), smooth, "valid") for track in (*formants, voiced, noisy)]
    return np.array(tracks[:3]), tracks[3], tracks[4]


def log_mel(samples: Array) -> Array:
    """Natural logarithm of 80 mel bands of the power of 16-bit samples: float32 [frames, 80]."""
    count = 1 + (len(samples) - WINDOW) // HOP
    frames = np.lib.stride_tricks.sliding_window_view(samples * SCALE, WINDOW)[: count * HOP : HOP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    emphasised = frames - 0.97 * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    power = np.abs(np.fft.rfft(emphasised * np.hanning(WINDOW) ** 0.85, FFT)) ** 2
    features: Array = np.log(np.maximum(power @ _filters().T, 1.0)).astype(np.float32)
    return features


@cache
def _filters() -> Array:
    """Triangles between 20 Hz and 8 kHz, evenly spaced on the mel scale: [80, 257]."""
    edges = np.linspace(_mel(20.0), _mel(RATE / 2), BINS + 2)[:, None]
    bands = _mel(np.fft.rfftfreq(FFT, 1 / RATE))[None, :]
    rising, falling = (bands - edges[:-2]) / (edges[1:-1] - edges[:-2]), (edges[2:] - bands) / (edges[2:] - edges[1:-1])
    triangles: Array = np.maximum(0.0, np.minimum(rising, falling))
    return triangles


def _mel(frequency: Array | float) -> Array:
    return np.asarray(1127 * np.log(1 + np.asarray(frequency) / 700))
