"""What TensorRT would launch for concrete shapes, worked out without TensorRT's libraries or a GPU.

The registered functions are called the way TensorRT's own plugin template calls them (wheel
`tensorrt_cu13_bindings` 11.4, `plugin/_plugin_class.py`, `get_launch_params`), with an expression
builder that computes instead of recording.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from plugins.tensorrt.bindings import Bindings
from plugins.tensorrt.op import Attribute

Triple = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Launch:
    """One launch: arguments are the inputs' addresses, `extra` as int32, the outputs' addresses.

    `shared` is dynamic shared memory in bytes, `code` PTX, `output_shapes` one tuple an output.
    """

    entry: str
    code: bytes
    grid: Triple
    block: Triple
    shared: int
    extra: tuple[int, ...]
    output_shapes: tuple[tuple[int, ...], ...]


def evaluate(
    bindings: Bindings,
    op_id: str,
    shapes: Sequence[tuple[int, ...]],
    dtype: str,
    attributes: Mapping[str, Attribute],
) -> Launch:
    """The launch of a registered op. `dtype` is a name of TensorRT's, e.g. "float16"."""
    definition = import_module(f"{bindings.plugin.__name__}._lib").QDP_REGISTRY[op_id]
    tensor = import_module(f"{bindings.plugin.__name__}._tensor")
    number = _numbers(bindings)
    tensor.SymIntExpr._exprBuilder = _Builder(bindings, number)
    try:
        inputs = [_desc(bindings, shape, getattr(bindings.trt, dtype), number) for shape in shapes]
        outputs = definition.register_func(*inputs, **attributes)
        # As in TensorRT: numeric shapes are known only after the outputs were described.
        for desc, shape in zip(inputs, shapes, strict=True):
            desc.shape = bindings.plugin.Shape(shape)
        name, code, launch, extra = definition.aot_impl_func(*inputs, *attributes.values(), outputs, 0)
        return Launch(
            entry=name,
            code=code,
            grid=_triple(launch, "grid"),
            block=_triple(launch, "block"),
            shared=_value(launch.shared_mem),
            extra=tuple(_value(e) for e in _checked(bindings, extra)),
            output_shapes=tuple(tuple(_value(e) for e in o.shape_expr) for o in outputs),
        )
    finally:
        tensor.SymIntExpr._exprBuilder = None


def _numbers(bindings: Bindings) -> Callable[[int], Any]:
    class Number(bindings.trt.IDimensionExpr):  # type: ignore[misc, name-defined]  # a base known only at run time
        size: int

        def is_constant(self) -> bool:
            return True

        def get_constant_value(self) -> int:
            return self.size

    def make(size: int) -> Any:
        # The C++ class has no constructor: it is handed out by TensorRT only.
        number = Number.__new__(Number)
        number.size = size
        return number

    return make


class _Builder:
    """An IExprBuilder that computes."""

    def __init__(self, bindings: Bindings, number: Callable[[int], Any]) -> None:
        kinds = bindings.trt.DimensionOperation
        self.constant = number
        self.meanings: dict[Any, Callable[[int, int], int]] = {
            kinds.SUM: operator.add,
            kinds.SUB: operator.sub,
            kinds.PROD: operator.mul,
            kinds.FLOOR_DIV: operator.floordiv,
            kinds.CEIL_DIV: lambda a, b: -(-a // b),
            kinds.MAX: max,
            kinds.MIN: min,
        }

    def operation(self, kind: Any, left: Any, right: Any) -> Any:
        return self.constant(self.meanings[kind](left.size, right.size))


def _desc(bindings: Bindings, shape: tuple[int, ...], dtype: Any, number: Callable[[int], Any]) -> Any:
    plugin = bindings.plugin
    desc = plugin.TensorDesc()
    desc.dtype = dtype
    desc.shape_expr = plugin.ShapeExprs(len(shape))
    for i, size in enumerate(shape):
        desc.shape_expr[i] = plugin.ShapeExpr(number(size))
    return desc


def _checked(bindings: Bindings, extra: Any) -> list[Any]:
    wrong = [e for e in extra if not isinstance(e, bindings.plugin.SymInt32)]
    if wrong:
        raise TypeError(f"TensorRT takes SymInt32 as extra arguments, not {type(wrong[0]).__name__}")
    return list(extra)


def _triple(launch: Any, word: str) -> Triple:
    x, y, z = (_value(getattr(launch, f"{word}_{axis}")) for axis in "xyz")
    return x, y, z


def _value(expression: Any) -> int:
    return int(expression._expr.get_constant_value())
