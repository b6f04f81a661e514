"""Which nodes a precision leaves as they are: by name, pattern, operator type or group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TypeAlias

import onnx

from common.errors import UserError
from variants.lowering.groups import groups

Keep: TypeAlias = frozenset[str]
"""Names of nodes of the main graph."""

NONE: Keep = frozenset()
OPERATOR, GROUP = "op:", "group:"
NEAREST = 3


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
    """The nodes that any of `patterns` names.

    A pattern is a name or a glob over names (`/blocks.0/*`), `op:TYPE` (`op:Softmax`, a glob too), or `group:NAME`
    (variants/lowering/groups.py). The nodes of `model` must be `named`. Raises UserError for a pattern that matches nothing.
    """
    return frozenset(name for pattern in patterns for name in _matches(model, pattern))


def _matches(model: onnx.ModelProto, pattern: str) -> list[str]:
    if pattern.startswith(GROUP):
        return _grouped(model, pattern)
    if pattern.startswith(OPERATOR):
        wanted = pattern.removeprefix(OPERATOR)
        found = [node.name for node in model.graph.node if fnmatchcase(node.op_type, wanted)]
        return found or _nothing(pattern, wanted, dict.fromkeys(node.op_type for node in model.graph.node), OPERATOR)
    names = [node.name for node in model.graph.node]
    found = [name for name in names if name == pattern or fnmatchcase(name, pattern)]
    return found or _nothing(pattern, pattern, names)


def _grouped(model: onnx.ModelProto, pattern: str) -> list[str]:
    wanted, known = pattern.removeprefix(GROUP), groups(model)
    if wanted not in known:
        _nothing(pattern, wanted, known, GROUP)
    return known[wanted] or _nothing(pattern, wanted, [name for name, nodes in known.items() if nodes], GROUP)


def _nothing(pattern: str, wanted: str, known: Iterable[str], prefix: str = "") -> list[str]:
    """Raises UserError; long names differ mostly at one end, so the nearest are looked for without the stars."""
    plain = wanted.strip("*?")
    near = get_close_matches(plain, list(known), NEAREST, 0.0) if known else []
    inside = [name for name in known if plain.lower() in name.lower()][:NEAREST] if plain else []
    nearest = ", ".join(prefix + name for name in (inside or near))
    raise UserError(f"keep '{pattern}': matches no node; nearest: {nearest or 'none'} (trtbench passes MODEL --nodes lists them)")
