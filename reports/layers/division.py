"""How the measured time of one layer is divided among the ONNX nodes inside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reports.layers import onnx_cost
from reports.layers.groups import GROUP_OF
from reports.layers.layer import Layer
from reports.layers.onnx_cost import A100, CPU, MATRIX, VIEWS, Machine
from reports.layers.onnx_graph import OnnxGraph, read
from reports.layers.parts import group_of, part_of
from reports.layers.patterns import find
from reports.layers.profile import Profile

FOLLOWS = frozenset(
    (
        *(o for o, g in GROUP_OF.items() if g in ("elementwise", "Q/DQ", "GELU")),
        "Cast",
        "Where",
        "BatchNormalization",
        "Transpose",
        "Slice",
        "Split",
    )
)
"""What a kernel does with its result before writing it: point-wise work, and writing it in another order."""
PRODUCT_WEIGHT = 20.0
"""Of a matrix product or convolution whose shapes are unknown, where any other node counts 1."""
BITS = {"FP32": 32, "TF32": 32, "FP16": 16, "BF16": 16, "FP8": 8, "INT8": 8, "INT4": 4}


@dataclass(frozen=True, slots=True)
class Costs:
    """A graph with what every node costs. `groups` and `parts` stand beside `graph.nodes`; `pattern` is the match a node is in."""

    graph: OnnxGraph
    operations: tuple[int | None, ...]
    groups: tuple[str, ...]
    parts: tuple[str, ...]
    pattern: Mapping[int, int]
    free: frozenset[int]
    machine: Machine = A100
    _made: dict[str, int] = field(default_factory=dict)
    _read: dict[str, set[int]] = field(default_factory=dict)

    def source(self, name: str) -> str:
        """The tensor behind views: a Reshape's output is its input."""
        for _ in range(len(self.graph.nodes)):
            place = self._made.get(name)
            if place is None or self.graph.nodes[place].type not in VIEWS or not self.graph.nodes[place].inputs:
                break
            name = self.graph.nodes[place].inputs[0]
        return name


def costs(path: Path, sizes: Mapping[str, int] | None = None, layers: Sequence[Layer] = (), machine: Machine = A100) -> Costs:
    """The ONNX file's nodes and what they cost; see onnx_graph.read for `sizes`, `layers` and errors."""
    return costs_of(read(path, sizes, layers), machine)


def costs_for(profile: Profile, path: Path, sizes: Mapping[str, int] | None = None) -> Costs:
    """The costs that divide `profile`: its tensors give dynamic sizes, its source the machine (a CPU for ONNX Runtime's traces)."""
    on_cpu = any("ONNX Runtime" in kind for _, kind in profile.sources)
    return costs(path, sizes, profile.layers, CPU if on_cpu else A100)


def costs_of(graph: OnnxGraph, machine: Machine = A100) -> Costs:
    """The same of a graph at hand."""
    matches = find(graph)
    pattern = {place: number for number, match in enumerate(matches) for place in match.nodes}
    groups = tuple(
        group_of(node.type, node.module, matches[pattern[place]].group if place in pattern else "")
        for place, node in enumerate(graph.nodes)
    )
    found = Costs(
        graph,
        tuple(onnx_cost.operations(node, graph) for node in graph.nodes),
        groups,
        tuple(_part(place, node.module, groups, pattern) for place, node in enumerate(graph.nodes)),
        pattern,
        frozenset(place for place, node in enumerate(graph.nodes) if onnx_cost.is_free(node, graph)),
        machine,
    )
    found._made.update({name: place for place, node in enumerate(graph.nodes) for name in node.outputs})
    for place, node in enumerate(graph.nodes):
        if node.type not in VIEWS:
            for name in node.inputs:
                found._read.setdefault(found.source(name), set()).add(place)
    return found


def _part(place: int, module: str, groups: tuple[str, ...], pattern: Mapping[int, int]) -> str:
    part = part_of(groups[place], module)
    return "self-attention" if part == "attention" and place in pattern else part


def divide(places: Sequence[int], costs: Costs, precision: str = "") -> tuple[float, ...]:
    """The fraction of a layer's time for each node at `places`, adding up to 1.

    Constants, views and shape arithmetic get nothing unless the layer holds nothing else. Nodes whose shapes are unknown
    get the mean of the others; where no shape is known a product counts PRODUCT_WEIGHT and any other node 1.
    """
    live = [place for place in places if place not in costs.free]
    if not live:
        return tuple(1 / len(places) for _ in places)
    weights = _weights(live, costs, precision)
    known = [weight for weight in weights.values() if weight is not None]
    mean = sum(known) / len(known) if known else 0.0
    if not sum(known):
        mean, weights = 0.0, {place: guess(costs.graph.nodes[place].type) for place in live}
    filled = {place: mean if weight is None else weight for place, weight in weights.items()}
    total = sum(filled.values())
    return tuple(filled.get(place, 0.0) / total for place in places)


def guess(operator: str) -> float:
    """The weight of a node whose shapes are unknown."""
    return PRODUCT_WEIGHT if operator in MATRIX else 1.0


def _weights(live: Sequence[int], costs: Costs, precision: str) -> dict[int, float | None]:
    found: dict[int, float | None] = dict.fromkeys(live)
    bits = BITS.get(precision)
    known = [place for place in live if _known(place, costs, bits)]
    for unit in _units(known, costs):
        found.update(_unit(unit, costs, precision))
    return found


def _known(place: int, costs: Costs, bits: int | None) -> bool:
    return costs.operations[place] is not None and None not in onnx_cost.moved(costs.graph.nodes[place], costs.graph, bits)


def _units(places: Sequence[int], costs: Costs) -> Iterable[list[int]]:
    """What is taken to be one kernel: a layer with one product; else each pattern, and each node with the point-wise ones behind it."""
    patterned = {costs.pattern[place] for place in places if place in costs.pattern}
    products = [place for place in places if costs.graph.nodes[place].type in MATRIX]
    if len(products) + len(patterned) <= 1 or (len(patterned) == 1 and all(place in costs.pattern for place in products)):
        return [list(places)]
    unit_of: dict[int, tuple[str, int]] = {}
    units: dict[tuple[str, int], list[int]] = {}
    for place in places:
        unit = ("pattern", costs.pattern[place]) if place in costs.pattern else ("node", place)
        if unit[0] == "node" and costs.graph.nodes[place].type in FOLLOWS:
            behind = [unit_of.get(costs._made.get(costs.source(name), -1)) for name in costs.graph.nodes[place].inputs]
            unit = next((before for before in behind if before is not None and before[0] == "node"), unit)
        unit_of[place] = unit
        units.setdefault(unit, []).append(place)
    return units.values()


def _unit(places: list[int], costs: Costs, precision: str) -> dict[int, float]:
    """Seconds of one kernel, divided among its nodes.

    The kernel takes the longer of computing and of moving what crosses its edge. A product gets its operations, what it
    reads, and what the kernel writes; a point-wise node behind it its operations and what it reads from outside. Where
    there is no product every node counts what it would read and write on its own.
    """
    bits, graph, machine = BITS.get(precision), costs.graph, costs.machine
    inside = {name for place in places for name in graph.nodes[place].outputs}
    products = [place for place in places if graph.nodes[place].type in MATRIX]
    read = {place: _crossing(graph.nodes[place].inputs, inside, costs, bits) for place in places}
    written = sum(onnx_cost.bytes_of(name, graph, bits) or 0.0 for name in inside if _leaves(name, places, costs))
    weights = {}
    for place in places:
        moved = read[place] + (written / len(products) if place in products else 0.0)
        if not products:
            moved = sum(part or 0.0 for part in onnx_cost.moved(graph.nodes[place], graph, bits))
        weights[place] = machine.seconds(costs.operations[place] or 0, moved, precision, place in products)
    crossing = _crossing({name for place in places for name in graph.nodes[place].inputs}, inside, costs, bits) + written
    computing = sum(machine.seconds(costs.operations[place] or 0, 0, precision, place in products) for place in places)
    whole, total = max(computing, machine.seconds(0, crossing)), sum(weights.values())
    return {place: whole * weight / total if total else whole / len(places) for place, weight in weights.items()}


def _crossing(names: Iterable[str], inside: set[str], costs: Costs, bits: int | None) -> float:
    outer = {name for name in names if name not in inside and costs.source(name) not in inside}
    return sum(onnx_cost.bytes_of(name, costs.graph, bits) or 0.0 for name in outer)


def _leaves(name: str, places: list[int], costs: Costs) -> bool:
    readers = costs._read.get(name, set())
    return name in costs.graph.outputs or not readers or not readers <= set(places)
