"""What a kernel version is: the frozen types that every part of plugins/ speaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common import errors

Option = bool | str
Array = NDArray[Any]

ITEMSIZE: Mapping[str, int] = {"fp32": 4, "fp16": 2, "bf16": 2}


class Unsupported(errors.Unsupported):
    """A version by its nature cannot take a problem; the message is one sentence with the reason."""


class BadKernelFile(errors.UserError):
    """A `.cu` file or family folder breaks the contract; the message names file and line."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One declared argument: its dimensions by name, present only when option `when` is true."""

    name: str
    dims: tuple[str, ...]
    when: str = ""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Largest accepted error, |out - ref| <= atol + rtol * |ref|, and the reason for the numbers."""

    rtol: float
    atol: float
    why: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One concrete piece of work. `align` is what every pointer is a multiple of, in bytes."""

    dims: Mapping[str, int]
    dtype: str
    options: Mapping[str, Option] = field(default_factory=dict)
    align: int = 16

    @property
    def id(self) -> str:
        """Readable and unique, e.g. `fp16-12288x768-affine`."""
        shape = "x".join(str(n) for n in self.dims.values())
        words = [k if v is True else str(v) for k, v in self.options.items() if v is not False]
        odd = [] if self.align >= 16 else [f"align{self.align}"]
        return "-".join([self.dtype, shape, *words, *odd])


@dataclass(frozen=True, slots=True)
class Family:
    """One operation: its arguments, options, float64 reference and tolerances (`reference.py`).

    Arguments of every kernel of the family, in TensorRT's order: the inputs, the dimensions as
    int32 in the order of `dims`, the outputs. `constants` are compiled in as macros.
    `build` holds the dims that `trtbench kernels build` compiles.
    """

    name: str
    label: str
    folder: Path
    dims: tuple[str, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    reference: Callable[..., Any]
    tolerances: Mapping[str, Tolerance]
    options: Mapping[str, tuple[Option, ...]]
    constants: Mapping[str, float]
    build: tuple[Mapping[str, int], ...]

    def tensors(self, declared: tuple[Tensor, ...], problem: Problem) -> tuple[Tensor, ...]:
        """Of `declared`, those that this problem's options call for."""
        return tuple(t for t in declared if not t.when or problem.options.get(t.when) is True)

    def expect(self, inputs: Mapping[str, Array], problem: Problem) -> dict[str, Array]:
        """Outputs by name in float64; `inputs` by name, any dtype, shaped as declared."""
        wide = {k: np.asarray(v, dtype=np.float64) for k, v in inputs.items()}
        words = {k: v for k, v in problem.options.items() if isinstance(v, str)}
        with np.errstate(all="ignore"):
            got = self.reference(**wide, **words, **self.constants)
        outs = self.tensors(self.outputs, problem)
        return {t.name: got[t.name] for t in outs} if isinstance(got, dict) else {outs[0].name: got}

    def tolerance(self, dtype: str, input_class: str) -> Tolerance:
        """The tolerance of `dtype/input_class` where there is one, else of the dtype."""
        return self.tolerances.get(f"{dtype}/{input_class}", self.tolerances[dtype])

    def bytes_moved(self, problem: Problem) -> int:
        """Fewest bytes through device memory: each input read once, each output written once."""
        every = self.tensors(self.inputs + self.outputs, problem)
        shapes = [[problem.dims[d] for d in t.dims] for t in every]
        return sum(int(np.prod(s, dtype=np.int64)) for s in shapes) * ITEMSIZE[problem.dtype]


@dataclass(frozen=True, slots=True)
class Kernel:
    """One version: a `.cu` file. `launch` is its launch block, see header.py; `fault` says why the file cannot be read, "" if it can."""

    family: Family
    name: str
    path: Path
    idea: str
    origin: str
    launch: str
    launch_line: int
    fault: str = ""

    @property
    def id(self) -> str:
        """`family/version`, what the user types after `-k`."""
        return f"{self.family.name}/{self.name}"

    @property
    def entry(self) -> str:
        """The symbol of the `__global__` function, written `ENTRY` in the file."""
        return f"{self.family.name}_{self.name}"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to enqueue: `op` is "launch" (our kernel) or "matmul" (the library's product)."""

    op: str
    args: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """How one version runs one problem: macros to compile with and the launch geometry."""

    kernel: Kernel
    problem: Problem
    macros: Mapping[str, int | float]
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared: int
    pdl: bool
    steps: tuple[Step, ...]
    workspace: Mapping[str, int]
    weak: Mapping[str, str]
    feature: str = ""

    def named(self, **changes: Any) -> Plan:
        """The same plan with some fields changed."""
        return replace(self, **changes)
