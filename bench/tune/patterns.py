"""A set of nodes as few short patterns, as `~` takes them: globs that match these nodes and no others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from common.errors import UserError

UNWRITABLE = ",+~"
"""What the options themselves are divided at; in a pattern "?" stands for it."""


def cover(wanted: Iterable[str], names: Sequence[str]) -> tuple[str, ...]:
    """Globs over `names` that match exactly `wanted`: a module's prefix where all below it is wanted, else single names.

    Raises UserError where a name cannot be written so that it alone is meant.
    """
    chosen = frozenset(wanted)
    patterns = tuple(_cover(sorted(set(names)), chosen, 0))
    loose = [pattern for pattern in patterns if "?" in pattern]
    for pattern in loose:
        if other := next((name for name in names if name not in chosen and fnmatchcase(name, pattern)), ""):
            raise UserError(f"the nodes '{pattern}' and '{other}' cannot be told apart in a list of precisions; rename one of them")
    return patterns


def _cover(names: Sequence[str], wanted: frozenset[str], shared: int) -> list[str]:
    """Of sorted `names` that share their first `shared` characters."""
    inside = [name for name in names if name in wanted]
    if not inside:
        return []
    if len(names) == 1:
        return [_escaped(names[0])]
    if len(inside) == len(names):
        return [_prefix(names, shared)]
    length = len(_shared(names))
    if names[0] == names[0][:length]:
        alone = [_escaped(names[0])] if names[0] in wanted else []
        return alone + _branches(names[1:], wanted, length)
    return _branches(names, wanted, length)


def _branches(names: Sequence[str], wanted: frozenset[str], length: int) -> list[str]:
    found: list[str] = []
    start = 0
    for end in range(1, len(names) + 1):
        if end == len(names) or names[end][: length + 1] != names[start][: length + 1]:
            found += _cover(names[start:end], wanted, length + 1)
            start = end
    return found


def _prefix(names: Sequence[str], shared: int) -> str:
    """The shortest prefix that still tells these names from the others, drawn out to the end of a module's name."""
    common = _shared(names)
    slash = common.find("/", max(shared - 1, 0))
    return _escaped(common if slash < 0 else common[: slash + 1]) + "*"


def _escaped(name: str) -> str:
    literal = "".join(f"[{character}]" if character in "*?[" else character for character in name)
    return "".join("?" if character in UNWRITABLE else character for character in literal)


def _shared(names: Sequence[str]) -> str:
    """The beginning that sorted `names` have in common: that of the first and the last."""
    first, last = names[0], names[-1]
    length = next((i for i, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), min(len(first), len(last)))
    return first[:length]
