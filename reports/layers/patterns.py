"""LayerNorm, GELU and attention where an exporter wrote them out: found by structure, never by name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from reports.layers.onnx_graph import Node, OnnxGraph

BETWEEN = ("Cast", "Add", "Mul", "Div", "Sub", "Where", "Dropout", "Identity", "Clip", "Reshape", "Unsqueeze", "Squeeze", "Min", "Max")
"""What may stand between a product and its softmax: scale, mask, cast."""
LONGEST = 8


@dataclass(frozen=True, slots=True)
class Pattern:
    """One match: the group it belongs to and the places of its nodes in the graph."""

    group: str
    nodes: tuple[int, ...]


@dataclass(slots=True)
class _Links:
    graph: OnnxGraph
    made: dict[str, int] = field(init=False)
    read: dict[str, list[int]] = field(init=False)

    def __post_init__(self) -> None:
        self.made = {name: place for place, node in enumerate(self.graph.nodes) for name in node.outputs}
        self.read = defaultdict(list)
        for place, node in enumerate(self.graph.nodes):
            for name in dict.fromkeys(node.inputs):
                self.read[name].append(place)

    def node(self, place: int) -> Node:
        return self.graph.nodes[place]

    def back(self, place: int | None, *types: str) -> int | None:
        """The node of one of `types` that feeds `place`, through casts; None where there is none."""
        for name in self.node(place).inputs if place is not None else ():
            source = self.made.get(name)
            if source is None:
                continue
            if self.node(source).type in types:
                return source
            if self.node(source).type == "Cast" and (found := self.back(source, *types)) is not None:
                return found
        return None

    def on(self, place: int | None, *types: str, static: bool = False) -> int | None:
        """The node of one of `types` that alone reads the output of `place`, through casts; with `static`, it adds a constant to it."""
        readers = self.readers(place)
        if len(readers) != 1:
            return None
        node = self.node(readers[0])
        if node.type == "Cast":
            return self.on(readers[0], *types, static=static)
        return readers[0] if node.type in types and (not static or self.static(readers[0])) else None

    def makers(self, place: int) -> list[int]:
        return [self.made[name] for name in self.node(place).inputs if name in self.made]

    def readers(self, place: int | None) -> list[int]:
        return [reader for name in self.node(place).outputs for reader in self.read[name]] if place is not None else []

    def static(self, place: int) -> bool:
        return any(name in self.graph.static for name in self.node(place).inputs)


def find(graph: OnnxGraph) -> tuple[Pattern, ...]:
    """Every match, no node in two of them."""
    links, taken, found = _Links(graph), set[int](), []
    for place, node in enumerate(graph.nodes):
        matcher = {"Sqrt": _layernorm, "Erf": _gelu, "Tanh": _tanh_gelu, "Softmax": _attention}.get(node.type)
        group = {"Sqrt": "LayerNorm", "Softmax": "attention"}.get(node.type, "GELU")
        nodes = tuple(sorted(set(matcher(links, place)))) if matcher else ()
        if nodes and not taken.intersection(nodes):
            taken.update(nodes)
            found.append(Pattern(group, nodes))
    return tuple(found)


def _all(*places: int | None) -> tuple[int, ...]:
    found = tuple(place for place in places if place is not None)
    return found if len(found) == len(places) else ()


def _layernorm(links: _Links, root: int) -> tuple[int, ...]:
    """(x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) [* scale] [+ bias]."""
    shifted = links.back(root, "Add")
    variance = links.back(shifted, "ReduceMean")
    square = links.back(variance, "Pow", "Mul")
    centred = links.back(square, "Sub")
    mean = links.back(centred, "ReduceMean")
    quotient = links.on(root, "Div")
    if quotient is None or links.back(quotient, "Sub") != centred:
        return ()
    scale = links.on(quotient, "Mul", static=True)
    bias = links.on(scale if scale is not None else quotient, "Add", static=True)
    tail = tuple(place for place in (scale, bias) if place is not None)
    head = _all(mean, centred, square, variance, shifted, root, quotient)
    return (*head, *tail) if head else ()


def _gelu(links: _Links, erf: int) -> tuple[int, ...]:
    """x * 0.5 * (1 + erf(x / sqrt 2)), the half before or after."""
    return _gated(links, links.back(erf, "Div", "Mul"), erf, ())


def _tanh_gelu(links: _Links, tanh: int) -> tuple[int, ...]:
    """0.5 * x * (1 + tanh(c * (x + 0.044715 * x^3)))."""
    scaled = links.back(tanh, "Mul")
    cubic = links.back(scaled, "Add")
    small = links.back(cubic, "Mul")
    power = links.back(small, "Pow", "Mul")
    inner = _all(cubic, small, power)
    return _gated(links, scaled, tanh, inner) if inner else ()


def _gated(links: _Links, scaled: int | None, function: int, inner: tuple[int, ...]) -> tuple[int, ...]:
    shifted = links.on(function, "Add", static=True)
    gated = links.on(shifted, "Mul")
    core = _all(scaled, shifted, gated)
    if not core or gated is None:
        return ()
    after = links.on(gated, "Mul", static=True)
    before = links.back(gated, "Mul")
    half = after if after is not None else before if before is not None and links.static(before) else None
    return (*core, function, *inner, *((half,) if half is not None else ()))


def _attention(links: _Links, softmax: int) -> tuple[int, ...]:
    """softmax(Q K^T, scaled and masked) V: two products of two activations with what lies between them."""
    before = next(_walk(links, softmax, backwards=True), ())
    after = next(_walk(links, softmax, backwards=False), ())
    return (*before, softmax, *after) if before and after else ()


def _walk(links: _Links, start: int, backwards: bool) -> Iterator[tuple[int, ...]]:
    """Paths of at most `LONGEST` nodes from `start` to a product of two activations."""
    waiting: list[tuple[int, ...]] = [(start,)]
    while waiting:
        path = waiting.pop(0)
        near = links.makers(path[-1]) if backwards else links.readers(path[-1])
        for place in near:
            node = links.node(place)
            if node.type in ("MatMul", "FusedMatMul", "Einsum") and not links.static(place):
                yield (*path[1:], place)
            elif node.type in BETWEEN and len(path) < LONGEST and not all(name in links.graph.static for name in node.outputs):
                waiting.append((*path, place))
