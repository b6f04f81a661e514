"""The measured time of a profile by ONNX node, module, group and part of the model: exact where a layer holds one node."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Sequence

import msgspec

from reports.layers.division import Costs, divide, guess
from reports.layers.inside import Finder, likely, operator, pieces
from reports.layers.layer import Layer
from reports.layers.onnx_graph import module_of
from reports.layers.parts import group_of, part_of
from reports.layers.profile import Profile

NO_NODE = "(no ONNX node) "
FLOATS = ("FP32", "TF32", "FP16", "BF16", "FP8", "INT8", "INT4")


class Piece(msgspec.Struct, frozen=True):
    """The time of a node inside the layer of that rank, beside the layer's measured total, microseconds a run; `nodes` share the layer."""

    rank: int
    layer: str
    time_us: float
    layer_us: float
    nodes: int


class NodeTime(msgspec.Struct, frozen=True):
    """One ONNX node, or what layers without a node take by group (`name` starts with NO_NODE).

    `estimated_us` is the part of `time_us` that comes from layers which several nodes share; `share` is of the profile's sum.
    """

    name: str
    type: str
    module: str
    group: str
    part: str
    time_us: float
    share: float
    estimated_us: float
    pieces: tuple[Piece, ...]

    @property
    def estimated(self) -> bool:
        """Whether any of its time is divided rather than measured."""
        return self.estimated_us > 0


class Total(msgspec.Struct, frozen=True):
    """The time of one module, group, operator or part; a layer whose nodes all belong to it counts as measured."""

    name: str
    time_us: float
    share: float
    estimated_us: float
    nodes: int


class Attribution(msgspec.Struct, frozen=True):
    """Rows ranked by time, adding up to `total_us`, the sum of the layers' means. Given the ONNX file, `absent` nodes are in no layer
    (folded, fused away or named otherwise); `working` names those of them that have work to do, slowest operators first."""

    nodes: tuple[NodeTime, ...]
    total_us: float
    estimated_us: float
    absent: int | None = None
    working: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def by(self, key: Callable[[NodeTime], str]) -> tuple[Total, ...]:
        """Rows summed, largest first."""
        members: dict[str, list[NodeTime]] = defaultdict(list)
        names: dict[int, set[str]] = defaultdict(set)
        for row in self.nodes:
            members[key(row)].append(row)
            for piece in row.pieces:
                names[piece.rank].add(key(row))
        split = {rank for rank, found in names.items() if len(found) > 1}
        return tuple(sorted((self._total(name, rows, split) for name, rows in members.items()), key=lambda t: (-t.time_us, t.name)))

    def modules(self, depth: int | None = None, fold: bool = False) -> tuple[Total, ...]:
        """By source module, cut to `depth` segments; with `fold` repeated blocks are one: "encoder/layer.*/attention"."""

        def key(row: NodeTime) -> str:
            if row.name.startswith(NO_NODE):
                return row.name
            path = "/".join(row.module.split("/")[:depth])
            return (re.sub(r"\d+(?=[/.]|$)", "*", path) if fold else path) or "(no module)"

        return self.by(key)

    def groups(self) -> tuple[Total, ...]:
        """By group, one of GROUPS."""
        return self.by(lambda row: row.group)

    def parts(self) -> tuple[Total, ...]:
        """By part of the model: self-attention, MLP, LayerNorm; a group where the names say no part."""
        return self.by(lambda row: row.part)

    def types(self) -> tuple[Total, ...]:
        """By ONNX operator."""
        return self.by(lambda row: row.type or row.name)

    def _total(self, name: str, rows: Sequence[NodeTime], split: set[int]) -> Total:
        time = math.fsum(row.time_us for row in rows)
        estimated = math.fsum(piece.time_us for row in rows for piece in row.pieces if piece.rank in split)
        return Total(name, time, time / self.total_us if self.total_us else 0.0, estimated, len(rows))


class _Rows:
    def __init__(self) -> None:
        self.facts: dict[str, tuple[str, str, str, str]] = {}
        self.pieces: dict[str, list[Piece]] = defaultdict(list)

    def add(self, name: str, facts: tuple[str, str, str, str], piece: Piece) -> None:
        self.facts.setdefault(name, facts)
        self.pieces[name].append(piece)


def attribute(profile: Profile, costs: Costs | None = None) -> Attribution:
    """Divide every layer's time among the nodes inside it; without `costs` by the names alone (see docs/layer-findings.md).

    Layers without times count 0.
    """
    rows = _Rows()
    absent, working, notes = _with_graph(profile, costs, rows) if costs else _by_names(profile, rows)
    total = math.fsum(layer.mean_us or 0.0 for layer in profile.layers)
    nodes = sorted((_row(name, rows, total) for name in rows.facts), key=lambda row: (-row.time_us, row.name))
    if not total:
        notes = (*notes, "no layer has a time: give the profile beside the layer info")
    return Attribution(tuple(nodes), total, math.fsum(row.estimated_us for row in nodes), absent, working, notes)


def summary(attribution: Attribution, most: int = 4) -> str:
    """ "self-attention is 48 % of the time, LayerNorm 11 %; 12 % of the time is estimated ..."."""
    totals = attribution.parts()
    shown = [total for total in totals if round(total.share * 100)][:most]
    if not shown:
        return ""
    first, *others = shown
    named = ", ".join([f"{first.name} is {first.share:.0%} of the time", *(f"{total.name} {total.share:.0%}" for total in others)])
    estimated = math.fsum(total.estimated_us for total in totals) / attribution.total_us
    how = f"{estimated:.0%} of the time is estimated: it is in layers that several of these share" if estimated else "all of it measured"
    return f"{named}; {how}.".replace("%", " %")


def _row(name: str, rows: _Rows, total: float) -> NodeTime:
    pieces = tuple(rows.pieces[name])
    time = math.fsum(piece.time_us for piece in pieces)
    estimated = math.fsum(piece.time_us for piece in pieces if piece.nodes > 1)
    return NodeTime(name, *rows.facts[name], time, time / total if total else 0.0, estimated, pieces)


def _share_out(layer: Layer, names: Sequence[tuple[str, tuple[str, str, str, str]]], fractions: Sequence[float], rows: _Rows) -> None:
    """Pieces that add up to the layer's time to the last bit: the largest takes what rounding leaves."""
    time = layer.mean_us or 0.0
    shares = [time * fraction for fraction in fractions]
    largest = max(range(len(shares)), key=shares.__getitem__)
    shares[largest] = time - math.fsum(share for place, share in enumerate(shares) if place != largest)
    sharing = sum(fraction > 0 for fraction in fractions)
    for (name, facts), share in zip(names, shares, strict=True):
        rows.add(name, facts, Piece(layer.rank, layer.name, share, time, sharing))


def _without(layer: Layer, rows: _Rows) -> None:
    rows.add(
        NO_NODE + layer.group,
        ("", "", layer.group, layer.group),
        Piece(layer.rank, layer.name, layer.mean_us or 0.0, layer.mean_us or 0.0, 1),
    )


def _by_names(profile: Profile, rows: _Rows) -> tuple[None, tuple[str, ...], tuple[str, ...]]:
    shared = False
    for layer in profile.layers:
        names = likely(pieces(layer)) if not layer.nodes else pieces(layer).names
        if not names:
            _without(layer, rows)
            continue
        kinds = [operator(name) or layer.type for name in names]
        groups = [layer.group if len(names) == 1 else group_of(kind, module_of(name)) for kind, name in zip(kinds, names, strict=True)]
        facts = [
            (name, (kind, module_of(name), group, part_of(group, module_of(name))))
            for name, kind, group in zip(names, kinds, groups, strict=True)
        ]
        weights = [guess(kind) for kind in kinds]
        _share_out(layer, facts, [weight / sum(weights) for weight in weights], rows)
        shared = shared or len(names) > 1
    note = "a layer that several nodes share is divided by their operators alone: give the ONNX file for an estimate from shapes"
    return None, (), (note,) if shared else ()


def _with_graph(profile: Profile, costs: Costs, rows: _Rows) -> tuple[int, tuple[str, ...], tuple[str, ...]]:
    graph, inside = costs.graph, nodes_inside(profile.layers, costs)
    for layer, places in zip(profile.layers, inside, strict=True):
        if not places:
            _without(layer, rows)
            continue
        facts = [
            (graph.nodes[place].name, (graph.nodes[place].type, graph.nodes[place].module, costs.groups[place], costs.parts[place]))
            for place in places
        ]
        _share_out(layer, facts, divide(places, costs, precision_of(layer)), rows)
    seen = {place for places in inside for place in places}
    running = {graph.nodes[place].name for place in seen}
    absent = [p for p, node in enumerate(graph.nodes) if p not in seen and node.type != "Constant" and node.parent not in running]
    working = sorted((place for place in absent if place not in costs.free), key=lambda place: -(costs.operations[place] or 0))
    notes = graph.notes
    if not seen:
        notes = (*notes, "no layer names a node of this graph: is it the ONNX file that this engine was built from?")
    return len(absent), tuple(graph.nodes[place].name for place in working), notes


def nodes_inside(layers: Sequence[Layer], costs: Costs) -> list[tuple[int, ...]]:
    """For each layer the places in the graph of the nodes that it holds."""
    finder = Finder(costs.graph)
    listed = [pieces(layer) for layer in layers]
    single = [finder.find(pieces_) for pieces_ in listed]
    claimed = frozenset(place for places in single for place in places)
    found = []
    for layer, pieces_, places in zip(layers, listed, single, strict=True):
        ranged = {place for ends in pieces_.ranges for place in finder.between(*ends, claimed)}
        found.append(_whole_pattern(layer, tuple(sorted({*places, *ranged})), costs, claimed))
    return _leftovers(layers, found, costs)


def _whole_pattern(layer: Layer, places: tuple[int, ...], costs: Costs, claimed: frozenset[int]) -> tuple[int, ...]:
    """A fused operator that names one node of a pattern does the work of all: ONNX Runtime calls a LayerNorm after its last Add."""
    if len(places) != 1 or places[0] not in costs.pattern or layer.type in ("", costs.graph.nodes[places[0]].type):
        return places
    number = costs.pattern[places[0]]
    if costs.groups[places[0]] == "attention" or group_of(layer.type) != costs.groups[places[0]]:
        return places
    return tuple(place for place, match in costs.pattern.items() if match == number and (place in places or place not in claimed))


def _leftovers(layers: Sequence[Layer], found: list[tuple[int, ...]], costs: Costs) -> list[tuple[int, ...]]:
    """Fused operators without a name of the graph ("Gelu_token_41") do the work of the patterns left, if they are as many."""
    seen = {place for places in found for place in places}
    for group in ("GELU", "LayerNorm"):
        nameless = [at for at, layer in enumerate(layers) if not found[at] and layer.type and group_of(layer.type) == group]
        left: dict[int, list[int]] = defaultdict(list)
        for place, number in costs.pattern.items():
            if costs.groups[place] == group:
                left[number].append(place)
        free = [places for places in left.values() if not seen.intersection(places)]
        if nameless and len(nameless) == len(free):
            for at in nameless:
                found[at] = tuple(sorted(place for places in free for place in places))
    return found


def precision_of(layer: Layer) -> str:
    """Of its first tensor that holds numbers to compute with; "" where the source is silent."""
    found = [tensor.precision for tensor in (*layer.inputs, *layer.outputs) if tensor.precision in FLOATS]
    return found[0] if found else ""
