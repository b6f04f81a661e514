"""Register every op with TensorRT: `register_all(load())`, then parse or build as usual."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, Signature
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Union

from plugins.device import current
from plugins.discovery import families
from plugins.gpu import Gpu
from plugins.header import grid_expression
from plugins.tensorrt.bindings import Bindings
from plugins.tensorrt.op import NAMESPACE, Attribute, Op, bind, ops
from plugins.tensorrt.recipe import Range, Recipe, cook

if TYPE_CHECKING:
    import tensorrt.plugin as trtp  # type: ignore[import-not-found, unused-ignore]  # the stubs of TensorRT 10 end before it

    Descs = Sequence[trtp.TensorDesc]
    Aot = tuple[str, bytes, trtp.KernelLaunchParams, trtp.SymIntExprs]


def register_all(bindings: Bindings, gpu: Gpu | None = None, lazy: bool = False) -> list[Op]:
    """Register every op of every family that these bindings do not have yet; returns all ops.

    `gpu` is what the kernels are compiled for, this machine's unless given. `lazy` leaves
    TensorRT's own registry alone until a node asks for the op.
    """
    target = gpu or current().gpu
    every = [op for family in families().values() for op in ops(family)]
    known = getattr(bindings.plugin.op, NAMESPACE, None)
    for op in every:
        if known is None or not hasattr(known, op.name):
            register(op, bindings, target, lazy)
    return every


def register(op: Op, bindings: Bindings, gpu: Gpu, lazy: bool) -> None:
    """Register one op: its shapes, and the ahead-of-time implementation of all its versions."""
    plugin = bindings.plugin
    attributes = [Parameter(n, Parameter.POSITIONAL_OR_KEYWORD, annotation=t) for n, t in op.attributes.items()]
    tensors = [Parameter(t.name, Parameter.POSITIONAL_OR_KEYWORD, annotation=plugin.TensorDesc) for t in op.inputs]
    # Built, not written: the count of outputs is the op's, and TensorRT asks for typing.Union.
    outputs = GenericAlias(tuple, tuple(plugin.TensorDesc for _ in op.outputs))
    text = Union[str, bytes]  # noqa: UP007
    returns = GenericAlias(tuple, (text, text, plugin.KernelLaunchParams, plugin.SymExprs))
    last = [
        Parameter("outputs", Parameter.POSITIONAL_OR_KEYWORD, annotation=outputs),
        Parameter("tactic", Parameter.POSITIONAL_OR_KEYWORD, annotation=int),
    ]
    describe = _with_signature(_describer(op, bindings), Signature([*tensors, *attributes], return_annotation=outputs))
    implement = _with_signature(_implementer(op, bindings, gpu), Signature([*tensors, *attributes, *last], return_annotation=returns))
    plugin.register(op.id, lazy_register=lazy)(describe)
    plugin.aot_impl(op.id)(implement)


def _with_signature(function: Callable[..., Any], signature: Signature) -> Callable[..., Any]:
    # TensorRT reads inspect.signature and calls by position: one function can serve every op.
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


def _describer(op: Op, bindings: Bindings) -> Callable[..., Any]:
    """Outputs shaped like the first input with the same declared dimensions."""
    like = [next(i for i, t in enumerate(op.inputs) if t.dims == out.dims) for out in op.outputs]

    def describe(*args: Any, **attributes: Attribute) -> Any:
        return tuple(args[i].like() for i in like)

    return describe


def _implementer(op: Op, bindings: Bindings, gpu: Gpu) -> Callable[..., Any]:
    count = len(op.inputs)

    def implement(*args: Any) -> Aot:
        inputs, values = args[:count], args[count : count + len(op.attributes)]
        chosen = dict(zip(op.attributes, values, strict=True))
        dtype = bindings.dtype(inputs[0].dtype)
        recipe = cook(op, _ranges(op, inputs), dtype, chosen, gpu)
        symbols = bind(op, [list(t.shape_expr) for t in inputs], lambda a, b: a * b)
        return recipe.entry, recipe.code, _launch(recipe, symbols, bindings), _extra(op, symbols, bindings)

    return implement


def _ranges(op: Op, inputs: Descs) -> dict[str, Range]:
    def bound(word: str) -> dict[str, int]:
        shapes = [list(getattr(t.shape, word) if t.shape.is_dynamic else t.shape) for t in inputs]
        return bind(op, shapes, lambda a, b: a * b)

    low, best, high = bound("min"), bound("opt"), bound("max")
    return {name: Range(low[name], best[name], high[name]) for name in best}


def _launch(recipe: Recipe, symbols: Mapping[str, Any], bindings: Bindings) -> trtp.KernelLaunchParams:
    plugin = bindings.plugin
    # TensorRT's own refuse two plain numbers.
    calls: dict[str, Any] = {
        "cdiv": lambda a, b: -(-a // b) if isinstance(a, int) and isinstance(b, int) else plugin.cdiv(a, b),
        "min": lambda a, b: min(a, b) if isinstance(a, int) and isinstance(b, int) else plugin.min(a, b),
        "max": lambda a, b: max(a, b) if isinstance(a, int) and isinstance(b, int) else plugin.max(a, b),
    }
    grid = grid_expression(recipe.plan, symbols, calls)
    x, y, z = (*(grid if isinstance(grid, tuple) else (grid,)), 1, 1)[:3]
    params: trtp.KernelLaunchParams = plugin.KernelLaunchParams()
    # An empty tensor would make an empty grid, which the driver refuses; the kernels stop by themselves.
    params.grid_x, params.grid_y, params.grid_z = (calls["max"](size, 1) for size in (x, y, z))
    params.block_x, params.block_y, params.block_z = recipe.plan.block
    params.shared_mem = recipe.plan.shared
    return params


def _extra(op: Op, symbols: Mapping[str, Any], bindings: Bindings) -> trtp.SymIntExprs:
    """The dimensions as int32, between the inputs and the outputs, as every kernel declares them."""
    extra: trtp.SymIntExprs = bindings.plugin.SymIntExprs(len(op.family.dims))
    for i, name in enumerate(op.family.dims):
        extra[i] = bindings.plugin.SymInt32(symbols[name])
    return extra
