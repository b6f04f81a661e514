"""What is tried: pipelines of passes, precisions, and the combinations that someone would choose by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from bench.backend import Backend
from bench.matrix import BASELINE_PRECISION, Preset, split_pipeline
from bench.passes import ALL, WITH, WITHOUT, find, names, pipelines, refusal, routine
from bench.precisions import HIGH
from bench.precisions import find as find_precision
from bench.precisions import names as precision_names
from reports.case import ONNX, Case
from variants.graph_pass import Stage

DEFAULT = ("quick", "full", "families")
"""The presets that hold what one would choose by hand; the first stands for a variant that is in none of them."""
START = ("fold+fuse_layernorm", ALL, "fold", "none")
"""Behind the first of these that is tried and does not fail, sensitivity is found; modules keep their names through all of them."""


@dataclass(frozen=True, slots=True)
class Space:
    """The candidates of a search; pipelines as written, in the order in which they are tried."""

    variant: str
    batch: int
    backend: str
    pipelines: tuple[str, ...]
    precisions: tuple[str, ...]
    hand: tuple[tuple[str, str], ...]

    def case(self, pipeline: str, precision: str) -> Case:
        """A cell of this search."""
        return Case(self.variant, split_pipeline(pipeline), precision, self.batch, self.backend)

    @property
    def starts(self) -> tuple[str, ...]:
        """The pipelines behind which sensitivity may be found, the preferred one first."""
        return tuple(dict.fromkeys([*(pipeline for pipeline in START if pipeline in self.pipelines), *self.pipelines]))

    @property
    def low(self) -> tuple[str, ...]:
        """The precisions that change the graph, of which units can be kept out."""
        return tuple(name for name in self.precisions if find_precision(name).value.dtype not in HIGH)

    @property
    def flagged(self) -> tuple[str, ...]:
        """The precisions that only ask the builder for something, such as tf32."""
        return tuple(name for name in self.precisions if name not in self.low and name != BASELINE_PRECISION)

    @property
    def hand_cases(self) -> tuple[Case, ...]:
        """The combinations that the presets hold."""
        return tuple(self.case(*pair) for pair in self.hand)


def by_hand(variant: str, presets: Mapping[str, Preset], backend: str) -> tuple[tuple[str, str], ...]:
    """(pipeline, precision) of the DEFAULT presets that name this variant, else of the first, less what they leave out here."""
    default = [presets[name] for name in DEFAULT if name in presets]
    naming = [preset for preset in default if variant in preset.variants] or default[:1]
    found: dict[tuple[str, str], None] = {}
    for preset in naming:
        written = [each for text in preset.passes for each in pipelines(text)]
        for pipeline, precision in product(written, preset.precisions):
            case = Case(variant, split_pipeline(pipeline), precision, 0, backend, ONNX)
            if not any(rule.matches(case) for rule in preset.leave_out):
                found[pipeline, precision] = None
    return tuple(found)


def pipelines_of(backend: Backend, hand: Sequence[str]) -> tuple[str, ...]:
    """The presets' own, `all`, `all` with each further pass that this backend takes, and `all` without each one in turn.

    A further pass stands in the place of its stage, a library's whole clean-up behind all: it undoes what others prepared.
    """
    own = routine()
    optional = [name for name in _options() if name not in own and not refusal((name,), backend)]
    more = [f"{ALL}{'+' if find(name).value.stage == Stage.CLEAN else WITH}{name}" for name in optional]
    tried = [*hand, "none", ALL, *more, *(f"{ALL}{WITHOUT}{name}" for name in own)]
    return tuple(text for text in dict.fromkeys(tried) if not refusal(split_pipeline(text), backend))


def _options() -> list[str]:
    """Every pass in each of its options; none that places a kernel: those are chosen by timing kernels."""
    own = routine()
    return [name for name in names() if find(name).value.stage < Stage.PLACE and name.partition(":")[0] not in own]


def families(precisions: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Precisions of one element type, calibrated ones apart from the others: members of a family differ in calibration alone."""
    found: dict[tuple[int, bool], list[str]] = {}
    for name in precisions:
        value = find_precision(name).value
        found.setdefault((value.dtype, value.calibrate is not None), []).append(name)
    return tuple(tuple(members) for members in found.values())


def all_precisions() -> tuple[str, ...]:
    """Every precision there is, the baseline's first."""
    return (BASELINE_PRECISION, *(name for name in precision_names() if name != BASELINE_PRECISION))
