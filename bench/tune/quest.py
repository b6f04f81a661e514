"""What a search is given and what it has come to: the world it asks, the goal, the budget."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import onnx

from bench.precisions import find as find_precision
from bench.precisions import keeping
from bench.tune.budget import Budget
from bench.tune.candidates import Space
from bench.tune.goal import Goal
from bench.tune.patterns import cover
from bench.tune.point import Point
from bench.tune.probe import Half, Probe
from bench.tune.sensitivity import Sensitivity
from reports.accuracy import Accuracy, Tolerance
from reports.case import Case
from reports.record import Record
from reports.statistics import Estimate


class World(Protocol):
    """What a search asks: bench/tune/lab.py, or a made one in tests."""

    def graph(self, case: Case) -> onnx.ModelProto:
        """The graph of a case, nodes named."""
        ...

    def probe(self, case: Case, half: Half = "choosing") -> Probe:
        """Its accuracy, untimed."""
        ...

    def profile(self, case: Case) -> list[tuple[str, float]]:
        """(node, microseconds) of its layers."""
        ...

    def program(self, case: Case) -> str:
        """What is executed, by digest; raises UserError where nothing can be."""
        ...

    def idle(self, case: Case) -> frozenset[str]:
        """The passes of its pipeline that rewrite nothing there."""
        ...

    def known(self, case: Case) -> bool:
        """Whether `record` measures nothing."""
        ...

    def record(self, case: Case) -> Record:
        """Checked on the whole test split and timed."""
        ...

    def duel(self, one: Case, other: Case) -> Estimate:
        """How many times faster `one` is, both taking turns."""
        ...


class Show(Protocol):
    """Progress: the phase, how far it is, and the best so far in words."""

    def __call__(self, phase: str, done: int, total: int, best: str = "") -> None:
        """Called before each piece of work."""
        ...


@dataclass(slots=True)
class Found:
    """What a search came to; `left_out` says why something was not timed, `untried` what the budget did not allow.

    `kept` names the units that each precision text keeps high, `halves` the loss on (the choosing, the held-out) half by
    case, `noise` the raw export against its own copy.
    """

    points: list[Point] = field(default_factory=list)
    sensitivities: list[Sensitivity] = field(default_factory=list)
    kept: dict[str, tuple[str, ...]] = field(default_factory=dict)
    duels: list[tuple[str, str, Estimate]] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    untried: list[str] = field(default_factory=list)
    nearest: dict[str, float] = field(default_factory=dict)
    halves: dict[str, tuple[float, float]] = field(default_factory=dict)
    noise: Estimate | None = None
    winner: Point | None = None


@dataclass(slots=True)
class Quest:
    """One search; sensitivity is found behind the pipeline `start`, whose graph has the nodes `names`."""

    world: World
    space: Space
    goal: Goal
    budget: Budget
    show: Show
    found: Found = field(default_factory=Found)
    names: tuple[str, ...] = ()
    start: str = "none"

    def probe(self, precision: str, half: Half = "choosing") -> Probe:
        """A precision behind the starting pipeline."""
        return self.world.probe(self.space.case(self.start, precision), half)

    def keeping(self, precision: str, nodes: Iterable[str]) -> str:
        """The precision with these nodes of the starting graph kept out of all its parts, as it is written."""
        return keeping(precision, cover(nodes, self.names))

    def accepts(self, precision: str, accuracy: Accuracy) -> bool:
        """Whether goal and the precision's own bounds hold: what those refuse is never timed."""
        value = find_precision(precision).value
        own = Tolerance(value.min_snr_db, value.min_agreement, value.max_drop, value.why)
        return self.goal.holds(accuracy) and own.violation(accuracy) is None

    def note(self, precision: str, accuracy: Accuracy) -> None:
        """Remember how near each precision came."""
        loss = self.goal.loss(accuracy)
        self.found.nearest[precision] = min(loss, self.found.nearest.get(precision, loss))
