"""From real tensors to a Problem, or one sentence about the first thing that is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plugins.kernel import ITEMSIZE, Family, Option, Problem, Tensor

_TORCH = {"torch.float32": "fp32", "torch.float16": "fp16", "torch.bfloat16": "bf16"}
_LIMIT = 2**31 - 1


class BadInput(Exception):
    """A tensor does not fit the family; the message names it and what to pass instead."""


@dataclass(frozen=True, slots=True)
class Given:
    """What is known of one tensor. Strides in elements; `dtype` is "fp32", "fp16", "bf16" or its own name."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str
    device: str
    pointer: int


def seen(tensor: Any) -> Given:
    """A torch tensor's description."""
    dtype = str(tensor.dtype)
    return Given(tuple(tensor.shape), tuple(tensor.stride()), _TORCH.get(dtype, dtype), tensor.device.type, tensor.data_ptr())


def problem_of(family: Family, given: Mapping[str, Given], options: Mapping[str, Option]) -> Problem:
    """The problem that these inputs and outputs pose, `align` from their addresses; raises BadInput."""
    draft = Problem({}, "fp32", options)
    declared = family.tensors(family.inputs + family.outputs, draft)
    missing = [t.name for t in declared if t.name not in given]
    if missing:
        raise BadInput(f"{family.name}: pass '{missing[0]}', shaped [{', '.join(_named(declared, missing[0]).dims)}]")
    dims: dict[str, int] = {}
    dtype = given[declared[0].name].dtype
    for tensor in declared:
        _fits(family, tensor, given[tensor.name], dtype)
        for name, size in zip(tensor.dims, given[tensor.name].shape, strict=True):
            if dims.setdefault(name, size) != size:
                raise BadInput(f"{family.name}: '{tensor.name}' has {name} = {size}, other tensors have {dims[name]}: make them agree")
            if size > _LIMIT:
                raise BadInput(f"{family.name}: {name} = {size} does not fit the kernels' int32: split the tensor")
    everywhere = 16
    for tensor in declared:
        pointer = given[tensor.name].pointer
        everywhere = min(everywhere, pointer & -pointer or 16)
    if everywhere < ITEMSIZE[dtype]:
        raise BadInput(f"{family.name}: an address is not a multiple of {ITEMSIZE[dtype]} bytes: pass whole {dtype} elements")
    return Problem({d: dims[d] for d in family.dims}, dtype, options, everywhere)


def _named(declared: tuple[Tensor, ...], name: str) -> Tensor:
    return next(t for t in declared if t.name == name)


def _fits(family: Family, tensor: Tensor, given: Given, dtype: str) -> None:
    what = f"{family.name}: '{tensor.name}'"
    if given.dtype not in ITEMSIZE:
        raise BadInput(f"{what} is {given.dtype}: cast it to fp32, fp16 or bf16")
    if given.dtype != dtype:
        raise BadInput(f"{what} is {given.dtype} and the first input {dtype}: cast one of them")
    if len(given.shape) != len(tensor.dims):
        raise BadInput(f"{what} has rank {len(given.shape)}: reshape it to [{', '.join(tensor.dims)}]")
    if given.device != "cuda":
        raise BadInput(f"{what} is on {given.device}: move it to the GPU with .cuda()")
    dense = 1
    for size, stride in zip(reversed(given.shape), reversed(given.strides), strict=True):
        if size > 1 and stride != dense:
            raise BadInput(f"{what} has strides {list(given.strides)} for shape {list(given.shape)}: pass .contiguous()")
        dense *= size
