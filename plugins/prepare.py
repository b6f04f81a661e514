"""From a version and a problem to machine code: plan, let occupancy pick, compile."""

from __future__ import annotations

from dataclasses import dataclass

from plugins.gpu import Gpu, occupancy
from plugins.header import choices, plan
from plugins.kernel import Kernel, Plan, Problem
from plugins.nvrtc import Compiled, compile_plan, is_compiled


@dataclass(frozen=True, slots=True)
class Ready:
    """A plan with its machine code, for one GPU model."""

    plan: Plan
    compiled: Compiled
    gpu: Gpu

    @property
    def occupancy(self) -> float:
        """Resident threads of those an SM can hold, 0 to 1."""
        x, y, z = self.plan.block
        shared = self.compiled.shared + self.plan.shared
        return occupancy(self.gpu, x * y * z, self.compiled.registers, shared)


def prepare(kernel: Kernel, problem: Problem, gpu: Gpu, form: str = "cubin") -> Ready:
    """Compile `kernel` for `problem`; among the sizes of `occupancy(...)` the fullest SM wins.

    Raises Unsupported, BadKernelFile or CompileError, each one sentence.
    """
    width = choices(kernel, problem, gpu)
    plans = [plan(kernel, problem, gpu, pick) for pick in range(width)]
    ready = [Ready(p, compile_plan(p, gpu, form), gpu) for p in plans]
    return max(ready, key=lambda r: (round(r.occupancy, 3), -r.plan.block[0]))


def is_prepared(kernel: Kernel, problem: Problem, gpu: Gpu) -> bool:
    """Whether `prepare` has nothing left to compile; raises as it does."""
    return all(is_compiled(plan(kernel, problem, gpu, pick), gpu) for pick in range(choices(kernel, problem, gpu)))
