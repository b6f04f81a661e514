"""A case's Record: what was tried, what came of it, and everything needed to trust or repeat it."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from reports.accuracy import Accuracy
from reports.case import Case
from reports.layers.layer import Layer
from reports.statistics import Estimate, block_medians, median_interval, percentile, speedup

SCHEMA = 2


class Measured(msgspec.Struct, frozen=True, tag="measured"):
    """Timed, and its outputs agreed with the reference.

    `blocks_us` holds every raw sample in microseconds, one tuple a block, in time order. `baseline_blocks_us`
    holds the samples of the case `baseline` (the plain export in fp32 on the same backend and batch), whose
    blocks took turns with these (ABBA); a baseline case is paired with a second copy of itself, which shows
    the noise. `loads` says how many consecutive blocks came from each fresh load of both plans. `notes` names what
    was not ideal, such as "unsettled".
    """

    blocks_us: tuple[tuple[float, ...], ...]
    baseline: str
    baseline_blocks_us: tuple[tuple[float, ...], ...]
    notes: tuple[str, ...] = ()
    loads: tuple[int, ...] = ()

    @property
    def samples_us(self) -> list[float]:
        """All samples in order, microseconds."""
        return [sample for block in self.blocks_us for sample in block]

    @property
    def median_us(self) -> Estimate:
        """Median of the block medians with its 95 % interval, microseconds."""
        return median_interval(block_medians(self.blocks_us), self.loads)

    @property
    def speedup(self) -> Estimate:
        """Against the interleaved baseline; above 1 is faster."""
        return speedup(self.blocks_us, self.baseline_blocks_us, self.loads)

    @property
    def p99_us(self) -> float | None:
        """99th percentile in microseconds, None where there are under 299 samples."""
        return percentile(self.samples_us, 99)


class Built(msgspec.Struct, frozen=True, tag="built"):
    """Accepted: parsed and built for `target`, but not run; `why_not_run` says why there is no speed."""

    target: str
    why_not_run: str


class Inaccurate(msgspec.Struct, frozen=True, tag="inaccurate"):
    """Ran, but its outputs are outside the precision's tolerance: it has no speed."""

    reason: str


class Rejected(msgspec.Struct, frozen=True, tag="rejected"):
    """The backend's own parser or builder refused the graph; `reason` is its message."""

    target: str
    reason: str


class Unsupported(msgspec.Struct, frozen=True, tag="unsupported"):
    """Cannot run here by its nature; `reason` says what is missing."""

    reason: str


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """Broke in `stage` (export, a pass, build, check, ...), crashes and time-outs included."""

    stage: str
    reason: str


Outcome: TypeAlias = Measured | Built | Inaccurate | Rejected | Unsupported | Failed


class GraphSize(msgspec.Struct, frozen=True):
    """Counts of one ONNX graph, sub-graph bodies included; `parameter_bytes` is the size of initializers and Constant nodes."""

    nodes: int
    tensors: int
    parameter_bytes: int


class ModelFacts(msgspec.Struct, frozen=True):
    """What a graph holds and one inference of it costs, at the shape `sizes` (in words) that is timed.

    `parameters` are the PyTorch module's, 0 where there is none. `operations` (a multiply-add counts two) and `bytes_moved`
    (read and written, nothing fused) are of one inference, without the `unknown` nodes whose cost does not follow from shapes.
    """

    sizes: str
    opset: int
    size: GraphSize
    parameters: int
    operations: int
    bytes_moved: int
    unknown: int


class Step(msgspec.Struct, frozen=True):
    """One transform of the graph: a pass or the precision, in order.

    `rewrites` is what the pass says it changed; 0 reads "no effect". `version` is the library's, where one did it.
    `declined` are sentences of what looked like a match and was left alone.
    """

    name: str
    label: str
    rewrites: int
    before: GraphSize
    after: GraphSize
    version: str = ""
    declined: tuple[str, ...] = ()


class Build(msgspec.Struct, frozen=True):
    """What the backend made: seconds it took when it was really built, size of the plan or optimised model, its warnings."""

    seconds: float
    bytes: int
    warnings: tuple[str, ...] = ()


class Phase(msgspec.Struct, frozen=True):
    """Wall-clock seconds of one phase of the run; `cached` when its artefact was there already."""

    name: str
    seconds: float
    cached: bool = False


class Environment(msgspec.Struct, frozen=True):
    """Where it was measured. `facts` are (name, value) in reading order; `key` is the sha256 of those that must
    be equal before two records may be compared."""

    key: str
    facts: tuple[tuple[str, str], ...]

    def fact(self, name: str) -> str:
        """The value of one fact, "" where it is not known."""
        return dict(self.facts).get(name, "")


class Record(msgspec.Struct, frozen=True):
    """One line of records.jsonl. `digests` are (what, sha256); times are ISO 8601 in UTC.

    `model` is the plain export, `result` the graph after all its steps, as it was built.
    """

    run: str
    case: Case
    outcome: Outcome
    started: str
    environment: Environment
    steps: tuple[Step, ...] = ()
    phases: tuple[Phase, ...] = ()
    digests: tuple[tuple[str, str], ...] = ()
    build: Build | None = None
    accuracy: Accuracy | None = None
    layers: tuple[Layer, ...] = ()
    model: ModelFacts | None = None
    result: ModelFacts | None = None
    schema: int = SCHEMA
