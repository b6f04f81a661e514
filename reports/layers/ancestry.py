"""Which ONNX nodes and which module a layer came from: by its metadata, else by its name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

MARK = "[ONNX Layer: "
BETWEEN = "\x1e\x1f\n "
PROFILE = re.compile(r" \[profile \d+\]")
MYELIN = re.compile(r"(_\d+)?_myl\d+_\d+$")
REGION = re.compile(r"^\{?(?:ForeignNode|ROOT)?\[(.*?)\.\.\.(.*)\]\}?$", re.DOTALL)
AFFIXES = re.compile(r"^(?:Reformatting CopyNode for |Reformatted |Forced Cast |copied_|reshape_|squeeze_|unsqueeze_|shuffle_|__my|dummy_)")
ADDED = re.compile(r"Reformatting CopyNode for |Forced Cast |\(Unnamed Layer\* \d+\) \[[^\]]*\]$")
CONSTANTS = (".weight", ".bias", ".running_mean", ".running_var", ".gamma", ".beta")


def without_profile(name: str) -> str:
    """The name without the ` [profile N]` that TensorRT puts anywhere in it, one for every optimisation profile."""
    return PROFILE.sub("", name) if " [profile " in name else name


def nodes(name: str, metadata: str = "") -> tuple[str, ...]:
    """The ONNX nodes inside a layer, in order, each once.

    The two ends of a `{ForeignNode[a...b]}` stand for the range between them. Layers that TensorRT added (reformats, reshapes,
    unnamed ones) and weights hold none.
    """
    if metadata:
        pieces = metadata.split(MARK)
        if len(pieces) == 2:
            node = pieces[1].rstrip(BETWEEN).removesuffix("]")
            return (name,) if node == name else (node,)
        if len(pieces) > 2:
            return tuple(dict.fromkeys([piece.rstrip(BETWEEN).removesuffix("]") for piece in pieces[1:]]))
    name = without_profile(name)
    if ADDED.match(name):
        return ()
    if "PWN(" not in name and " + " not in name:
        return _node(name)
    found = [node for piece in name.split(" + ") for part in _unwrapped(piece) for node in _node(part)]
    return tuple(dict.fromkeys(found))


def _unwrapped(piece: str) -> Iterator[str]:
    """The names inside PWN(...), which may be nested and may begin in one piece and end in another."""
    for part in piece.replace("PWN(", "").split(", ") if "PWN(" in piece else (piece,):
        while part.endswith(")") and part.count(")") > part.count("("):
            part = part[:-1]
        yield part


def _node(piece: str) -> tuple[str, ...]:
    if piece.endswith(CONSTANTS) or AFFIXES.match(piece) or "(Unnamed Layer*" in piece or piece.startswith("[trainStation"):
        region = REGION.match(piece) if piece.startswith("{") else None
        return () if region is None else tuple(end for end in region.groups() if "(Unnamed Layer*" not in end)
    if piece.startswith("{"):
        region = REGION.match(piece)
        return region.groups() if region else (piece,)
    if "_myl" in piece:
        piece = MYELIN.sub("", piece)
    return (piece,) if piece else ()


def module(inside: tuple[str, ...]) -> str:
    """The common source module of the nodes, "encoder/layers.3/attn"; "" where the names hold no path."""
    if not inside:
        return ""
    if len(inside) == 1 and inside[0][-1:] != "]":
        return inside[0].rpartition("/")[0].lstrip("/")
    found, *others = map(_parent, inside)
    for other in others:
        if other != found:
            found = _common(found, other)
    return found


def _parent(node: str) -> str:
    if node.endswith("]") and "-[" in node:
        node = node[node.rindex("-[") + 2 : -1]
    return node.rpartition("/")[0].lstrip("/")


@lru_cache(65536)
def _common(one: str, other: str) -> str:
    common, second = one.split("/"), other.split("/")
    keep = next((at for at, (a, b) in enumerate(zip(common, second, strict=False)) if a != b), min(len(common), len(second)))
    return "/".join(common[:keep])
