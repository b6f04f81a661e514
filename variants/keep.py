"""Which nodes a precision leaves as they are: by name, pattern or operator type."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TypeAlias

import onnx

from common.errors import UserError

Keep: TypeAlias = frozenset[str]
"""Names of nodes of the main graph."""

OPERATOR = "op:"


def named(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which every node of the main graph has a name to itself, the same at every call."""
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    taken: set[str] = set()
    for number, node in enumerate(copied.graph.node):
        while not node.name or node.name in taken:
            node.name = f"{node.name or node.op_type}_{number}"
        taken.add(node.name)
    return copied


def resolve(model: onnx.ModelProto, patterns: Sequence[str]) -> Keep:
    """The nodes that any of `patterns` names: a name or a glob over names (`/blocks.0/*`), or `op:TYPE` (`op:Softmax`).

    The nodes of `model` must be `named`. Raises UserError for a pattern that matches nothing.
    """
    return frozenset(name for pattern in patterns for name in _matches(model, pattern))


def _matches(model: onnx.ModelProto, pattern: str) -> list[str]:
    operator, wanted = pattern.startswith(OPERATOR), pattern.removeprefix(OPERATOR)
    found = [node.name for node in model.graph.node if fnmatchcase(node.op_type if operator else node.name, wanted)]
    if not found:
        raise UserError(f"--keep: '{pattern}' matches no node; trtbench passes --nodes lists them")
    return found
