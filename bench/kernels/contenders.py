"""Everything that takes part in timing one problem: our versions, the copy and the peers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch

from plugins.device import Device, Loaded, Matmul
from plugins.kernel import ITEMSIZE, BadKernelFile, Family, Kernel, Problem, Unsupported
from plugins.nvrtc import CompileError
from plugins.prepare import prepare

TORCH = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
Tensors = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Contender:
    """`launch(i)` enqueues on buffer set i and returns what must stay alive (peers' outputs)."""

    name: str
    kind: str
    launch: Callable[[int], Any]
    output: Callable[[], tuple[Any, ...]] | None
    pdl: bool = False


@dataclass(frozen=True, slots=True)
class Absent:
    """A version or peer that does not take part, and why."""

    name: str
    kind: str
    reason: str


def buffers(family: Family, problem: Problem, sets: int) -> list[Tensors]:
    """`sets` times inputs (standard normal; weights near one) and outputs on the GPU."""
    generator = torch.Generator(device="cuda").manual_seed(1)
    dtype = TORCH[problem.dtype]

    def tensor(name: str, dims: tuple[str, ...]) -> Any:
        shape = [problem.dims[d] for d in dims]
        z = torch.randn(shape, generator=generator, device="cuda", dtype=torch.float32)
        if name == "mask":
            z = torch.where(z > 1.2, -1e4, 0.0)
        elif dims != family.inputs[0].dims:
            z = 1 + 0.25 * z
        return z.to(dtype)

    ins = family.tensors(family.inputs, problem)
    outs = family.tensors(family.outputs, problem)
    return [
        {t.name: tensor(t.name, t.dims) for t in ins}
        | {t.name: torch.empty([problem.dims[d] for d in t.dims], dtype=dtype, device="cuda") for t in outs}
        for _ in range(sets)
    ]


def copies(problem: Problem, family: Family, sets: int) -> Contender:
    """Device-to-device copies of as many bytes as the data tensors hold: the practical floor.

    Weights and masks are left out, so the floor is a little low. Sizes are rounded up to
    4 KiB and source and destination are tensors of their own: odd ends copy at half the speed.
    """
    data = [t for t in family.inputs + family.outputs if t.dims == family.inputs[0].dims]
    each = math.prod(problem.dims[d] for d in data[0].dims) * ITEMSIZE[problem.dtype]
    exact = each * len(family.tensors(tuple(data), problem)) // 2
    size = math.ceil(exact / 4096) * 4096
    pairs = [[torch.randint(0, 255, (size,), dtype=torch.uint8, device="cuda") for _ in range(2)] for _ in range(sets)]
    return Contender("copy", "floor", lambda i: pairs[i][1].copy_(pairs[i][0]), None)


def version(
    device: Device,
    kernel: Kernel,
    problem: Problem,
    sets: list[Tensors],
    pdl: bool | None = None,
) -> Contender | Absent:
    """One of our versions on these buffers; `pdl` False launches it in plain stream order."""
    name = kernel.name + ("" if pdl is None else " (plain launch)")
    try:
        loaded = device.load(prepare(kernel, problem, device.gpu))
    except (Unsupported, BadKernelFile, CompileError) as error:
        return Absent(name, "version", str(error))
    space = {n: torch.empty(size, dtype=TORCH[problem.dtype], device="cuda") for n, size in loaded.plan.workspace.items()}
    calls = [_bound(loaded, {**tensors, **space}, pdl) for tensors in sets]
    outs = [t.name for t in kernel.family.tensors(kernel.family.outputs, problem)]
    return Contender(
        name,
        "version",
        lambda i: calls[i](),
        lambda: tuple(sets[0][n] for n in outs),
        loaded.plan.pdl and pdl is not False,
    )


def peers(family: Family, problem: Problem, sets: list[Tensors]) -> list[Contender]:
    """torch, torch.compile, Triton...: whatever `peers/<family>.py` offers."""
    if find_spec(f"bench.kernels.peers.{family.name}") is None:
        return []
    torch._dynamo.reset()
    ins = [t.name for t in family.tensors(family.inputs, problem)]
    fed = [{n: tensors[n] for n in ins} for tensors in sets]
    offered = import_module(f"bench.kernels.peers.{family.name}").peers(problem)
    return [_peer(name, call, fed) for name, call in offered.items()]


def truth(family: Family, problem: Problem, tensors: Tensors) -> tuple[Any, ...]:
    """Float64 outputs on the GPU: the peer's eager formula fed with float64."""
    wide = {t.name: tensors[t.name].double() for t in family.tensors(family.inputs, problem)}
    module = import_module(f"bench.kernels.peers.{family.name}")
    call = module.peers(problem)["eager"] if not hasattr(module, "truth") else module.truth
    return tuple(call(wide))


def _peer(name: str, call: Callable[[Tensors], tuple[Any, ...]], fed: list[Tensors]) -> Contender:
    return Contender(name, "peer", lambda i: call(fed[i]), lambda: call(fed[0]))


def _bound(loaded: Loaded, tensors: Mapping[str, Any], pdl: bool | None) -> Callable[[], None]:
    pointers = {n: t.data_ptr() for n, t in tensors.items()}
    matmul = _matmul(tensors)

    def call() -> None:
        loaded.enqueue(pointers, torch.cuda.current_stream().cuda_stream, matmul, pdl)

    return call


def _matmul(tensors: Mapping[str, Any]) -> Matmul:
    """The library's product: names a, b and out; a name that ends in ^T is taken transposed."""

    def call(names: tuple[str, ...]) -> None:
        a, b = (_side(tensors, n) for n in names[:2])
        if a.dim() == 1:  # a workspace is flat: its rows are as long as b's columns
            a = a.view(*b.shape[:-2], -1, b.shape[-2])
        out = tensors[names[2]]
        torch.matmul(a, b, out=out.view(*a.shape[:-1], b.shape[-1]))

    return call


def _side(tensors: Mapping[str, Any], name: str) -> Any:
    tensor = tensors[name.removesuffix("^T")]
    return tensor.transpose(-1, -2) if name.endswith("^T") else tensor
