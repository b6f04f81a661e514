"""From an op, a version and shapes to the code object and the plan that TensorRT is handed."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, replace

from plugins.discovery import kernels
from plugins.gpu import Gpu
from plugins.kernel import Kernel, Plan, Problem, Unsupported
from plugins.prepare import prepare
from plugins.tensorrt.op import Attribute, BadNode, Op

# A quick plugin cannot ask for more: there is no field for the opt-in limit.
SHARED_LIMIT = 48 * 1024
_FREE = {"require", "hint", "weak"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """`code` is PTX. `frozen` are the dimensions that the code or its geometry took as constants."""

    plan: Plan
    entry: str
    code: bytes
    frozen: frozenset[str]


@dataclass(frozen=True, slots=True)
class Range:
    """A dimension as the optimisation profile has it."""

    low: int
    best: int
    high: int


def cook(op: Op, dims: Mapping[str, Range], dtype: str, attributes: Mapping[str, Attribute], gpu: Gpu) -> Recipe:
    """Compile the version that `attributes` name. Raises Unsupported or BadNode, one sentence."""
    kernel = _version(op, attributes)
    frozen = frozen_dims(kernel)
    for name in sorted(frozen):
        if dims[name].low != dims[name].high:
            raise BadNode(
                f"{op.id}: {kernel.name} compiles {name} in, and it is dynamic ({dims[name].low} to "
                f"{dims[name].high}): export with a fixed {name}"
            )
    options = {**op.settled, **{k: v for k, v in attributes.items() if k in op.family.options and not isinstance(v, float)}}
    small = replace(gpu, shared_per_block=min(gpu.shared_per_block, SHARED_LIMIT))
    # The ends of the profile first: what the version cannot take must not surface at run time.
    for size in ("low", "high", "best"):
        problem = Problem({n: int(getattr(r, size)) for n, r in dims.items()}, dtype, options)
        ready = prepare(kernel, problem, small, "ptx")
    if len(ready.plan.steps) > 1 or ready.plan.workspace:
        raise Unsupported(f"{op.id}: {kernel.name} is several launches and a plugin is one: choose another version")
    return Recipe(ready.plan, ready.compiled.entry, ready.compiled.code.rstrip(b"\0"), frozen)


def frozen_dims(kernel: Kernel) -> frozenset[str]:
    """Dimensions that the launch block uses outside `grid`, and outside what decides no result."""
    used: set[str] = set()
    for statement in ast.parse(kernel.launch).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="grid")]):
                continue
        used |= _names(statement)
    return frozenset(used & set(kernel.family.dims))


def _names(node: ast.AST) -> set[str]:
    match node:
        case ast.Call(func=ast.Name(id=name)) if name in _FREE:
            return set()
        case ast.Name(id=name):
            return {name}
    return set().union(*(_names(child) for child in ast.iter_child_nodes(node)))


def _version(op: Op, attributes: Mapping[str, Attribute]) -> Kernel:
    missing = [name for name in op.attributes if name not in attributes]
    if missing:
        raise BadNode(f"{op.id}: set the attribute {missing[0]}")
    known = {k.name: k for k in kernels(op.family)}
    name = str(attributes["version"])
    if name not in known:
        raise BadNode(f"{op.id}: no version {name}; there are: {', '.join(known)}")
    for option, values in op.family.options.items():
        if option in attributes and attributes[option] not in values:
            raise BadNode(f"{op.id}: {option} is one of {', '.join(map(str, values))}, not {attributes[option]}")
    constants = {c: float(attributes[c]) for c in op.family.constants}
    return replace(known[name], family=replace(op.family, constants=constants))
