"""Committed measurements of graph passes on a GPU: one row a case, with its interval, and what each pass is worth."""

from __future__ import annotations

from pathlib import Path

import msgspec

from common.errors import UserError
from reports.case import Case
from reports.statistics import Estimate

AGAIN = "measure again: python -m bench.gpu.run, then python -m bench.gpu.keep"


class GpuCase(msgspec.Struct, frozen=True):
    """One case. `graph` says "captured", or why its kernels were launched one by one; `on_cpu` which nodes ran on the CPU.

    `plan` begins the plan's sha256, `steps` are (pass or precision, rewrites, nodes after it), `operators` the plan's nodes by
    type. `median_us` is the median of one synchronous run with inputs and outputs on the GPU, `over_raw` how many times faster
    the plan is than the raw export in the same precision, batch and backend, both by their steadiest measurement where a plan
    was timed under several names; `over_fp32` than the raw export in fp32, which took turns with it. `blocks_us` are
    the medians of its blocks, `baseline_us` those of that raw export's; `loads` consecutive ones came from one load each.
    None, empty or 0 where `outcome` is not "measured"; `reason` says why not.
    """

    case: Case
    outcome: str
    reason: str = ""
    graph: str = ""
    on_cpu: str = ""
    plan: str = ""
    steps: tuple[tuple[str, int, int], ...] = ()
    operators: dict[str, int] = msgspec.field(default_factory=dict)
    median_us: Estimate | None = None
    over_raw: Estimate | None = None
    over_fp32: Estimate | None = None
    snr_db: float = 0.0
    agreement: float = 0.0
    blocks_us: tuple[float, ...] = ()
    baseline_us: tuple[float, ...] = ()
    loads: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def captured(self) -> bool:
        """Whether it ran as one CUDA graph."""
        return self.graph == "captured"

    @property
    def nodes(self) -> int:
        """Of the plan."""
        return sum(self.operators.values())


class Duel(msgspec.Struct, frozen=True):
    """`one` and `other` taking turns: how many times faster `one` is, and the block medians in microseconds of both."""

    one: Case
    other: Case
    speedup: Estimate
    one_us: Estimate
    other_us: Estimate
    blocks_us: tuple[float, ...] = ()
    other_blocks_us: tuple[float, ...] = ()
    loads: tuple[int, ...] = ()


class Worth(msgspec.Struct, frozen=True):
    """One pass of the pipeline `whole`: the speedup it gives the raw export, and `whole` over `whole` without it; None where not timed."""

    of: Case
    name: str
    alone: Estimate | None
    inside: Estimate | None


class GpuPasses(msgspec.Struct, frozen=True):
    """A whole file; `environment` holds the facts of the machine, the commit and the command."""

    environment: dict[str, str]
    cases: tuple[GpuCase, ...]
    duels: tuple[Duel, ...] = ()
    worth: tuple[Worth, ...] = ()

    @property
    def label(self) -> str:
        """Such as "NVIDIA H200, 2026-11-21, commit f1ec28421cef"."""
        facts = self.environment
        return f"{facts['GPU'].split(',')[0]}, {facts['utc'][:10]}, commit {facts['commit'][:12]}"


def read(path: Path) -> GpuPasses:
    """A file that `python -m bench.gpu.keep` wrote. Raises UserError naming it."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=GpuPasses)
        missing = {"GPU", "utc", "commit"} - found.environment.keys()
    except (OSError, msgspec.MsgspecError) as error:
        raise UserError(f"{path.name}: {error}; {AGAIN}") from error
    if missing:
        raise UserError(f"{path.name}: no '{min(missing)}' in its environment; {AGAIN}")
    return found
