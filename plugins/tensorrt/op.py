"""The ops that a family of kernels gives TensorRT: names, inputs, attributes, and what they mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeVar

from plugins.kernel import Family, Tensor

NAMESPACE = "trtbench"
T = TypeVar("T")
Attribute = str | float | bool


class BadNode(Exception):
    """A plugin node does not fit its op; the message names the op and what to change."""


@dataclass(frozen=True, slots=True)
class Op:
    """One op: a family with those options settled that decide how many tensors there are.

    `attributes` are name and type in TensorRT's order: the version, then worded and other
    options, then the constants. TensorRT knows no defaults: a node must set them all.
    """

    family: Family
    settled: Mapping[str, bool]
    attributes: Mapping[str, type]

    @property
    def name(self) -> str:
        """ "layernorm_affine" for LayerNorm with its option `affine` settled to true."""
        return "_".join([self.family.name, *(k for k, v in self.settled.items() if v)])

    @property
    def id(self) -> str:
        """What TensorRT calls the op, e.g. "trtbench::layernorm_affine"."""
        return f"{NAMESPACE}::{self.name}"

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """Input tensors in order."""
        return tuple(t for t in self.family.inputs if not t.when or self.settled[t.when])

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """Output tensors in order."""
        return tuple(t for t in self.family.outputs if not t.when or self.settled[t.when])


def ops(family: Family) -> Iterator[Op]:
    """One op for each way of settling the options that tensors depend on."""
    deciding = [o for o in family.options if any(t.when == o for t in family.inputs + family.outputs)]
    attributes: dict[str, type] = {"version": str}
    for name, values in family.options.items():
        if name not in deciding:
            attributes[name] = type(values[0])
    attributes.update(dict.fromkeys(family.constants, float))
    for values in product(*([False, True] for _ in deciding)):
        yield Op(family, dict(zip(deciding, values, strict=True)), attributes)


def bind(op: Op, shapes: Sequence[Sequence[T]], multiply: Callable[[T, T], T]) -> dict[str, T]:
    """Dimensions by name from the inputs' shapes, numbers or symbols alike.

    A tensor may have more axes than the kernel declares: the last declared dimension is the last
    axis, the first ones are the first axes, and the one before the last takes the rest, so that
    [8, 197, 768] is rows 1,576 and cols 768. Raises BadNode when shapes do not fit.
    """
    found: dict[str, T] = {}
    for tensor, shape in zip(op.inputs, shapes, strict=True):
        for name, size in _axes(op, tensor, shape, multiply).items():
            known = found.setdefault(name, size)
            if isinstance(size, int) and known != size:
                raise BadNode(f"{op.id}: {tensor.name} has {name} {size}, an earlier input has {known}")
    return found


def _axes(op: Op, tensor: Tensor, shape: Sequence[T], multiply: Callable[[T, T], T]) -> dict[str, T]:
    names = tensor.dims
    if len(shape) < len(names):
        raise BadNode(f"{op.id}: {tensor.name} needs at least {len(names)} axes ({', '.join(names)}) and has {len(shape)}")
    first = max(0, len(names) - 2)
    last = 1 if len(names) > 1 else 0
    middle = shape[first : len(shape) - last]
    folded = middle[0]
    for size in middle[1:]:
        folded = multiply(folded, size)
    sizes: list[Any] = [*shape[:first], folded, *shape[len(shape) - last :]] if last else [folded]
    return dict(zip(names, sizes, strict=True))
