"""Small synthetic records: name what a test is about, the rest is filled in."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import numpy as np

from reports.accuracy import Accuracy, OutputError, Spread
from reports.case import Case
from reports.journal import Journal
from reports.layers.layer import GROUPS, Layer
from reports.record import (
    Build,
    Built,
    Environment,
    Failed,
    GraphSize,
    Inaccurate,
    Measured,
    Outcome,
    Phase,
    Record,
    Rejected,
    Step,
    Unsupported,
)
from reports.run import Entry, Run, read_run

ENVIRONMENT = Environment(
    "ab12cd34" * 8,
    (("cpu", "Example CPU, 2 cores"), ("python", "3.11.2"), ("onnxruntime", "1.31.1"), ("commit", "4d09aca (clean)")),
)


@dataclass(slots=True)
class Clock:
    """Draws blocks of samples around a median, microseconds, the same ones for the same seed."""

    seed: int = 0
    spread: float = 0.004
    pairs: int = 12
    samples: int = 30
    _rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)

    def blocks(self, median_us: float) -> tuple[tuple[float, ...], ...]:
        drawn = self._rng.lognormal(np.log(median_us), self.spread, (self.pairs, self.samples))
        return tuple(tuple(float(x) for x in block) for block in drawn)


def case(
    passes: str = "",
    precision: str = "fp32",
    batch: int = 1,
    backend: str = "onnxruntime",
    variant: str = "vit_digits",
) -> Case:
    """`passes` as the user writes them: "fold+onnxslim"."""
    return Case(variant, tuple(passes.split("+")) if passes else (), precision, batch, backend)


def measured(of: Case, median_us: float, baseline_us: float = 1000.0, clock: Clock | None = None) -> Measured:
    """Timed against the plain export of the same place; the plain export itself against its own copy."""
    clock = clock or Clock(seed=sum(of.id.encode()))
    plain = Case(of.variant, (), "fp32", of.batch, of.backend)
    return Measured(clock.blocks(median_us), plain.id, clock.blocks(baseline_us))


def accuracy(snr_db: float = 60.0, delta: float = 0.0, agreement: float = 1.0) -> Accuracy:
    error = Spread(1e-3, 8e-4, 4e-3, 9e-3)
    output = OutputError("logits", 3600, 0, error, error, 1 - 1e-6, snr_db)
    return Accuracy(360, (output,), agreement, "top-1", 0.98 + delta, 0.98)


def unlabelled(agreement: float = 0.995, snr_db: float = 60.0) -> Accuracy:
    """Of a model with seeded weights: nothing to score."""
    return msgspec.structs.replace(accuracy(snr_db, agreement=agreement), metric="top-5 agreement", score=None, reference_score=None)


def step(name: str, rewrites: int = 3, before: int = 500, after: int = 450) -> Step:
    first, last = (GraphSize(n, n + 40, n * 1000) for n in (before, after))
    return Step(name, f"What {name} does.", rewrites, first, last, "1.2.3")


def layers(count: int = 12) -> tuple[Layer, ...]:
    """Layers ranked by time, each a little shorter than the one before."""
    times = [100.0 / (n + 1) for n in range(count)]
    total, seen, found = sum(times), 0.0, []
    for rank, time in enumerate(times, 1):
        seen += time / total
        group = GROUPS[rank % len(GROUPS)]
        name = f"/blocks.{rank % 6}/node_{rank}"
        found.append(Layer(rank, name, "MatMul", group, time, time * 0.98, share=time / total, cumulative=seen))
    return tuple(found)


def record(of: Case, outcome: Outcome, environment: Environment = ENVIRONMENT) -> Record:
    """A record with what such an outcome has: steps and phases always, accuracy and layers where it ran."""
    ran = isinstance(outcome, (Measured, Inaccurate))
    built = isinstance(outcome, (Measured, Inaccurate, Built))
    names = (*of.passes, *(() if of.precision == "fp32" else (of.precision,)))
    steps = tuple(step(name, 3 - i % 4, 500 - 40 * i, 460 - 40 * i) for i, name in enumerate(names))
    return Record(
        run="2026-01-02T03-04-05",
        case=of,
        outcome=outcome,
        started="2026-01-02T03:04:05Z",
        environment=environment,
        steps=steps,
        phases=(Phase("export", 1.5, of.batch != 1), Phase("build", 0.4), Phase("measure", 2.0)),
        digests=(("onnx", "0123456789abcdef" * 4), ("calibration", "fedcba9876543210" * 4)),
        build=Build(0.42, 2_345_678) if built else None,
        accuracy=accuracy() if ran else None,
        layers=layers() if isinstance(outcome, Measured) else (),
    )


def timed(of: Case, median_us: float, baseline_us: float = 1000.0) -> Record:
    return record(of, measured(of, median_us, baseline_us))


def journal(*records: Record, warnings: tuple[str, ...] = ()) -> Journal:
    return Journal(records, warnings)


def run(*records: Record) -> Run:
    return read_run(journal(*records))


def entry(of: Record) -> Entry:
    return run(of).entries[0]


def one_of_every_outcome() -> tuple[Record, ...]:
    rtx = "tensorrt_rtx"
    return (
        timed(case(), 1000.0),
        timed(case("fold"), 800.0),
        timed(case("fold+fuse_layernorm"), 650.0),
        record(case("fold", "int8_minmax"), Inaccurate("signal-to-noise 9.1 dB is under the 20 dB allowed (8 bits)")),
        record(case("", "fp32", backend=rtx), Built("8.9", "no NVIDIA GPU here")),
        record(case("fold", backend=rtx), Rejected("8.9", "Assertion failed: scale.is_weights()")),
        record(case("onnxslim", "fp16"), Unsupported("onnxruntime has no fp16 kernels for this CPU")),
        record(case("onnxsim"), Failed("onnxsim", "RuntimeError: Nodes in a graph must be topologically sorted")),
        record(case("fold", "int8_minmax", backend=rtx), Failed("build", "the builder was killed by signal 11")),
    )


def many(count: int) -> tuple[Record, ...]:
    """`count` timed cases of many pipelines, precisions and batches."""
    found = []
    for number in range(count):
        pipeline = f"pass_{number // 12}" if number >= 12 else ""
        of = case(pipeline, ("fp32", "fp16", "int8_minmax")[number % 3], (1, 8, 32, 64)[number // 3 % 4])
        found.append(timed(of, 1000.0 - (number % 50 * 10 if pipeline else 0)))
    return tuple(found)
