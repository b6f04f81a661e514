"""What a backend file declares: how to build an ONNX graph for one batch, run it and profile it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from reports.case import ONNX
from reports.layers.layer import Layer
from variants.plugin_pass import NAMESPACE
from variants.variant import Array, Tensors


class BuildInfo(msgspec.Struct, frozen=True):
    """What came of a build. `seconds` is the build alone; `rejection` is the parser's or builder's own message, "" when accepted.

    `target` is what it was built for.
    """

    target: str
    seconds: float
    warnings: tuple[str, ...] = ()
    rejection: str = ""


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How to build.

    `shapes` are the (name, dimensions) of all inputs, batch included, that the plan is built for and best at; `threads`
    are CPU threads; `compute_capability` (such as "8.9") counts where no GPU says; `limit_s` seconds end a build;
    `bounds` are the (name, smallest, largest) dimensions that it must take as well, where they are not those of `shapes`;
    `source` says what the model file is: an ONNX graph, or weights for variants/api; `flags` are builder flags that the
    precision asks for ("TF32").
    """

    shapes: tuple[tuple[str, tuple[int, ...]], ...]
    threads: int
    compute_capability: str
    limit_s: float
    bounds: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = ()
    source: str = ONNX
    flags: tuple[str, ...] = ()

    @property
    def profile(self) -> tuple[tuple[str, tuple[tuple[int, ...], ...]], ...]:
        """An optimisation profile: (name, (smallest, best, largest)) of every input."""
        known = {name: (low, high) for name, low, high in self.bounds}
        spans = ((name, best, *known.get(name, (best, best))) for name, best in self.shapes)
        return tuple((name, (low, best, high)) for name, best, low, high in spans)


class Runner(Protocol):
    """A loaded plan, ready to run."""

    def run(self, feeds: Tensors) -> dict[str, Array]:
        """Outputs by name for inputs by name, each [batch, ...]."""
        ...

    def bind(self, feeds: Tensors) -> Callable[[], object]:
        """A call that runs once on inputs already in place: what is timed."""
        ...


class Backend(ABC):
    """One way to execute a graph. A backend that cannot run here says why in `why_not_run` and is build-only."""

    @abstractmethod
    def unavailable(self) -> str | None:
        """Why it cannot even build here, with the command that mends it; None when it can."""

    @abstractmethod
    def identity(self, options: BuildOptions) -> tuple[tuple[str, str], ...]:
        """Versions and flags by name: with the graph's digest, the identity of a plan."""

    @abstractmethod
    def build(self, model: Path, plan: Path, options: BuildOptions) -> BuildInfo:
        """Build `model` into the file `plan`; a refusal is returned, a crash or time-out raises UserError."""

    def why_not_run(self) -> str | None:
        """Why plans cannot be run here; None when they can."""
        return None

    def why_no_operators(self, domain: str) -> str | None:
        """Why a graph with operators of `domain`, which are not ONNX's own, is not built here; None when they are known."""
        if domain == NAMESPACE:
            return self.why_no_plugins()
        return f"operators of {domain} are not ONNX's: this backend's parser does not know them"

    def why_no_flags(self, flags: tuple[str, ...]) -> str | None:
        """Why a plan is not built with these builder flags of TensorRT; None where it is."""
        return f"{', '.join(flags)} is a builder flag of TensorRT: this backend has no such arithmetic"

    def why_no_type(self, dtype: int) -> str | None:
        """Why a graph of this ONNX element type (onnx.TensorProto.*) is not run here; None where it is."""
        return None

    def built_for(self, compute_capability: str) -> str:
        """The compute capability of the NVIDIA GPU that plans are for, the preset's unless a GPU says; "" where they are for none."""
        return ""

    def why_no_plugins(self) -> str | None:
        """Why a graph with TensorRT plugin nodes is not built here; None when they are registered and `bare(model)` is built."""
        return "a plugin runs under TensorRT only: this backend would measure something else under its name (docs/plugins.md)"

    def why_no_network_api(self) -> str | None:
        """Why a network is not built layer by layer here; None where the backend has TensorRT's Python API."""
        return "the network API is TensorRT's: this backend reads ONNX only"

    @abstractmethod
    def load(self, plan: Path, options: BuildOptions) -> Runner:
        """Load a plan to run it."""

    @abstractmethod
    def profile(self, plan: Path, feeds: Tensors, options: BuildOptions) -> tuple[Layer, ...]:
        """Ranked layers from a run of its own: the profiler changes what it times."""
