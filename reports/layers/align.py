"""Which layers of two profiles do the same work: by name, then by the ONNX nodes inside, then by type and order."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Literal, TypeAlias

from reports.layers.layer import Layer
from reports.layers.names import copies, generated, normal, parts, weight

How: TypeAlias = Literal["name", "ONNX nodes", "type and order", ""]

SHARED = 0.5
"""The part of a layer's nodes that another must hold to count as doing its work."""
LONGEST = 400
"""Layers between two anchors up to which the longest common sequence is looked for; it costs their product."""


@dataclass(frozen=True, slots=True)
class Match:
    """Layers before and after that do the same work; one side is empty where a layer appeared or vanished."""

    before: tuple[Layer, ...]
    after: tuple[Layer, ...]
    how: How


@dataclass(slots=True)
class _Side:
    """Layers of one profile in the order of execution, and what identifies each."""

    layers: Sequence[Layer]
    inside: list[frozenset[str]] = field(init=False)

    def __post_init__(self) -> None:
        # Where the order is not known, the k-th slowest of a type is the best guess that is left.
        self.layers = sorted(self.layers, key=lambda layer: (layer.position, layer.rank))
        self.inside = [_inside(layer) for layer in self.layers]


def align(before: Iterable[Layer], after: Iterable[Layer]) -> tuple[Match, ...]:
    """Every layer of both sides in exactly one match, in the order of execution after, what vanished at the end.

    1. The same name, then the same name without the noise of a build (`names.normal`), then the same weight in the name; the
       k-th of equal names is the k-th.
       Not where both list their nodes and share none: Myelin numbers its kernels anew in each build.
    2. A layer without a partner joins the one that holds at least half of its nodes (or of the parts of its fused name).
    3. What is left pairs by type and group in the order of execution, between the pairs found before.
    """
    old, new = _Side(list(before)), _Side(list(after))
    links = _by_name(old, new)
    links |= _by_nodes(old, new, links)
    links |= _by_order(old, new, links)
    return tuple(_matches(old, new, links))


Links: TypeAlias = dict[tuple[int, int], How]


def _inside(layer: Layer) -> frozenset[str]:
    if copies(layer.name):
        return frozenset()
    return frozenset(layer.nodes) or (frozenset() if generated(layer.name) else parts(layer.name))


def _by_name(old: _Side, new: _Side) -> Links:
    links: Links = {}
    for key, agree in (
        (lambda layer: layer.name, _agree),
        (lambda layer: None if generated(layer.name) else normal(layer.name), _agree),
        (lambda layer: weight(layer.name), lambda before, after: before.group == after.group),
    ):
        left = _left(old, new, links)
        links |= dict.fromkeys(_nth_with_nth(old, new, left, _Key(key, agree)), "name")
    return links


@dataclass(frozen=True, slots=True)
class _Key:
    """What two layers have to share, None where a layer has none, and whether two that share it may be believed."""

    of: Callable[[Layer], str | None]
    agree: Callable[[Layer, Layer], bool]


def _nth_with_nth(old: _Side, new: _Side, left: tuple[Sequence[int], Sequence[int]], key: _Key) -> Iterator[tuple[int, int]]:
    waiting: dict[str | None, list[int]] = defaultdict(list)
    for index in reversed(left[1]):
        waiting[key.of(new.layers[index])].append(index)
    waiting.pop(None, None)
    for a in left[0]:
        layer = old.layers[a]
        candidates = waiting.get(key.of(layer))
        if candidates and key.agree(layer, new.layers[candidates[-1]]):
            yield a, candidates.pop()


def _agree(before: Layer, after: Layer) -> bool:
    """Whether an equal name may be believed."""
    if before.nodes and after.nodes:
        return not set(before.nodes).isdisjoint(after.nodes)
    # A generated name alone says only what kind of kernel it is: that is for the order to decide.
    return not generated(before.name)


def _left(old: _Side, new: _Side, links: Links) -> tuple[list[int], list[int]]:
    taken = ({a for a, _ in links}, {b for _, b in links})
    return [a for a in range(len(old.layers)) if a not in taken[0]], [b for b in range(len(new.layers)) if b not in taken[1]]


def _by_nodes(old: _Side, new: _Side, links: Links) -> Links:
    alone = _left(old, new, links)
    found: Links = {}
    for index, partner in _holders(alone[0], old, new):
        found[index, partner] = "ONNX nodes"
    for index, partner in _holders(alone[1], new, old):
        found[partner, index] = "ONNX nodes"
    return found


def _holders(alone: Sequence[int], mine: _Side, other: _Side) -> Iterator[tuple[int, int]]:
    """(layer, the layer of the other side that holds most of its nodes), where that is SHARED of them."""
    holders: dict[str, list[int]] = defaultdict(list)
    for index, nodes in enumerate(other.inside):
        for node in nodes:
            holders[node].append(index)
    for index in alone:
        shared: dict[int, int] = defaultdict(int)
        nodes = mine.inside[index]
        for node in nodes:
            # A node that many layers list (a shared constant) tells none of them apart.
            for holder in holders[node] if len(holders.get(node, ())) <= 8 else ():
                shared[holder] += 1
        if shared:
            best = max(shared, key=lambda holder: (shared[holder], -len(other.inside[holder]), -holder))
            if shared[best] >= SHARED * len(nodes):
                yield index, best


def _by_order(old: _Side, new: _Side, links: Links) -> Links:
    anchors = _rising(sorted(links))
    found: Links = {}
    gaps: dict[int, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for side, left in enumerate(_left(old, new, links)):
        marks = [anchor[side] for anchor in anchors]
        for index in left:
            gaps[bisect_left(marks, index)][side].append(index)
    for before, after in gaps.values():
        keys = [_key(old.layers[a]) for a in before], [_key(new.layers[b]) for b in after]
        found |= {(before[i], after[j]): "type and order" for i, j in _common(*keys)}
    return found


def _key(layer: Layer) -> tuple[str, str, str]:
    return layer.type.lower(), layer.group, normal(layer.name) if generated(layer.name) else ""


def _common(before: Sequence[Hashable], after: Sequence[Hashable]) -> Iterator[tuple[int, int]]:
    if len(before) <= LONGEST and len(after) <= LONGEST:
        for i, j, size in SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks():
            yield from zip(range(i, i + size), range(j, j + size), strict=True)
        return
    waiting: dict[Hashable, list[int]] = defaultdict(list)
    for j in reversed(range(len(after))):
        waiting[after[j]].append(j)
    for i, key in enumerate(before):
        if waiting[key]:
            yield i, waiting[key].pop()


def _rising(links: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest run of links, sorted by their first, whose second rises too (patience sorting)."""
    tails: list[int] = []
    ends: list[int] = []
    previous: list[int] = []
    for index, (_, b) in enumerate(links):
        at = bisect_left(tails, b)
        previous.append(ends[at - 1] if at else -1)
        tails[at : at + 1], ends[at : at + 1] = [b], [index]
    chosen = []
    index = ends[-1] if ends else -1
    while index >= 0:
        chosen.append(links[index])
        index = previous[index]
    return chosen[::-1]


def _matches(old: _Side, new: _Side, links: Links) -> Iterator[Match]:
    """Linked layers together, each with the weakest of the reasons that link them."""
    parent = list(range(len(old.layers) + len(new.layers)))
    offset = len(old.layers)

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = index = parent[parent[index]]
        return index

    for a, b in links:
        parent[root(a)] = root(offset + b)
    how: dict[int, How] = {}
    for (a, _), reason in links.items():
        how[root(a)] = reason  # links are in the order found: by name first
    together: dict[int, tuple[list[Layer], list[Layer]]] = defaultdict(lambda: ([], []))
    for b, layer in enumerate(new.layers):
        together[root(offset + b)][1].append(layer)
    for a, layer in enumerate(old.layers):
        together[root(a)][0].append(layer)
    for key, (before, after) in together.items():
        yield Match(tuple(before), tuple(after), how.get(key, ""))
