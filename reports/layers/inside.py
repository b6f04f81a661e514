"""Which ONNX nodes a layer holds: from the engine's metadata, else from what its name lists."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from reports.layers.ancestry import nodes
from reports.layers.layer import Layer
from reports.layers.onnx_graph import OnnxGraph

FOREIGN = re.compile(r"\{ForeignNode\[(.*?)\.\.\.(.*)\]\}", re.DOTALL)
FUSED = re.compile(r"(_nchwc|_token_\d+|_kernel)$")
"""What ONNX Runtime appends to the name of a node, or of its output, that it laid out anew or fused."""
FUSIONS = 4
"""Segments that fusions put behind a name, one each."""
OPERATOR = re.compile(r"^(?:\[([A-Z_0-9]+)\]|([A-Z][A-Za-z]*))")
BUILT = {"CONVOLUTION": "Conv", "MATRIX_MULTIPLY": "MatMul", "FULLY_CONNECTED": "Gemm", "SCALE": "BatchNormalization", "RELU": "Relu"}
"""Layer kinds in the names that torch-tensorrt writes."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """What a layer's metadata or name lists: single nodes, and the ends of ranges "{ForeignNode[first...last]}".

    `whole` is a name that was split, for a node may have " + " in its own.
    """

    names: tuple[str, ...] = ()
    ranges: tuple[tuple[str, str], ...] = ()
    whole: str = ""


def pieces(layer: Layer) -> Pieces:
    """Names that may be ONNX nodes; none for a reformat, which is the engine's own work, or a made-up name without metadata."""
    if layer.name.startswith("Reformatting CopyNode"):
        return Pieces()
    listed = layer.nodes or nodes(layer.name)
    foreign = FOREIGN.search(layer.name)
    if foreign and set(listed) <= set(foreign.groups()):
        return Pieces((), ((foreign.group(1), foreign.group(2)),))
    return Pieces(listed, whole=layer.name if " + " in layer.name else "")


def likely(listed: Pieces) -> tuple[str, ...]:
    """The pieces that look like nodes, for when no ONNX file says it: an operator at the end; of a range its two ends."""
    names = tuple(dict.fromkeys((*listed.names, *(end for ends in listed.ranges for end in ends))))
    looks = tuple(name for name in names if operator(name))
    return looks or listed.names


def operator(name: str) -> str:
    """The operator at the end of a node's name, "" where it shows none: "/conv1/Conv_2" -> "Conv"."""
    if name.startswith("["):
        match = OPERATOR.match(name)
        return BUILT.get(match.group(1) or "", (match.group(1) or "").title()) if match else ""
    match = OPERATOR.match(name.rstrip("/").rsplit("/", 1)[-1])
    return (match.group(2) or "") if match else ""


@dataclass(slots=True)
class Finder:
    """Names of an engine -> places of nodes in the graph."""

    graph: OnnxGraph
    _exact: dict[str, list[int]] = field(init=False)
    _plain: dict[str, list[int]] = field(init=False)
    _made: dict[str, int] = field(init=False)
    _read: dict[str, list[int]] = field(init=False)

    def __post_init__(self) -> None:
        self._exact, self._plain, self._read = defaultdict(list), defaultdict(list), defaultdict(list)
        self._made = {}
        for place, node in enumerate(self.graph.nodes):
            self._exact[node.name].append(place)
            self._plain[_plain(node.name)].append(place)
            self._made.update(dict.fromkeys(node.outputs, place))
            for name in dict.fromkeys(node.inputs):
                self._read[name].append(place)

    def find(self, listed: Pieces) -> tuple[int, ...]:
        """Places of the single nodes listed, in the order of the graph."""
        if listed.whole in self._exact:
            return tuple(self._exact[listed.whole])
        return tuple(sorted({place for name in listed.names for place in self._node(name)}))

    def between(self, first: str, last: str, claimed: frozenset[int]) -> tuple[int, ...]:
        """Every node on a path from `first` (a node, or a weight that it reads) to `last`, without those that other layers claim."""
        starts = self._node(first) or tuple(self._read.get(first, ()))
        ends = self._node(last) or ((self._made[last],) if last in self._made else ())
        below = self._reach(starts, forward=True)
        if not ends:
            return tuple(sorted(set(starts) - claimed))
        above = self._reach(ends, forward=False)
        return tuple(sorted(((below & above) | set(starts) | set(ends)) - claimed))

    def _node(self, name: str) -> tuple[int, ...]:
        """Exactly, with Myelin's underscores for dots, or without what ONNX Runtime's fusions append."""
        if name in self._exact:
            return tuple(self._exact[name])
        plain = _plain(name)
        if plain in self._plain:
            return tuple(self._plain[plain])
        shorter = FUSED.sub("", name).rstrip("/")
        if shorter in self._exact:
            return tuple(self._exact[shorter])
        if shorter in self._made:
            return (self._made[shorter],)
        for _ in range(FUSIONS):
            shorter = shorter.rpartition("/")[0]
            if shorter in self._exact:
                return tuple(self._exact[shorter])
        return ()

    def _reach(self, places: Iterable[int], forward: bool) -> set[int]:
        found, waiting = set(places), list(places)
        while waiting:
            node = self.graph.nodes[waiting.pop()]
            if forward:
                near = [place for name in node.outputs for place in self._read.get(name, ())]
            else:
                near = [self._made[name] for name in node.inputs if name in self._made]
            fresh = set(near) - found
            found |= fresh
            waiting += fresh
        return found


def _plain(name: str) -> str:
    return re.sub(r"[^0-9A-Za-z/]", "_", name)
