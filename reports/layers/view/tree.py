"""Where the time goes as areas inside areas: group, module, layer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from reports.blocks import Tree
from reports.layers.layer import Layer
from reports.layers.names import copies
from reports.layers.tally import Share, tally
from reports.layers.view.ranked import colour
from reports.layers.view.text import lines, time_us
from reports.wording import count, shorten

LABEL = 30
SHORTER = "the shorter ones"
NO_MODULE = "(no module)"


@dataclass(slots=True)
class _Growing:
    names: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    colours: list[int] = field(default_factory=list)
    hover: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, parent: int, share: Share, group: str, hover: tuple[str, ...] = ()) -> int:
        self.names.append(_label(share.name))
        self.parents.append(parent)
        self.values.append(share.mean_us or 0.0)
        self.colours.append(colour(group))
        words = f"{share.share:.1%}, {time_us(share.mean_us)} µs a run, {count(share.layers, 'layer')}"
        self.hover.append(hover or (share.name, words))
        return len(self.names) - 1

    def rest(self, parent: int, layers: Sequence[Layer]) -> None:
        for share in tally(layers, lambda _: SHORTER):
            self.add(parent, share, layers[0].group)


def _module(layer: Layer) -> str:
    return layer.module or NO_MODULE


def _label(name: str) -> str:
    """What fits into an area: the last segment of every path in a fused name, the last two of a module's."""
    if copies(name):
        return shorten("copy for " + name.rsplit("/", 1)[-1], LABEL)
    parts = name.split(" + ")
    if len(parts) == 1:
        return shorten("/".join(name.rstrip("/").split("/")[-2:]) if "/" in name and " " not in name else name, LABEL)
    return shorten(" + ".join(part.rstrip("/").rsplit("/", 1)[-1] for part in parts), LABEL)


def tree(ranked: Sequence[Layer], most: int) -> Tree:
    """Areas are microseconds a run; the layers beyond `most` are one area of their module, or of
    their group where none of the module is shown. Layers of no time have none."""
    timed = [layer for layer in ranked if layer.mean_us]
    shown = {id(layer) for layer in timed[:most]}
    grown = _Growing()
    for whole in tally(timed, lambda _: "all layers"):
        root = grown.add(-1, whole, "")
        for group, members in _parts(timed, lambda layer: layer.group):
            at = grown.add(root, group, group.name)
            modules = [(module, inside) for module, inside in _parts(members, _module) if any(id(layer) in shown for layer in inside)]
            for module, inside in modules:
                # A level that holds everything of the one above, or one layer only, tells nothing.
                leaf_of = at if module.layers in (1, group.layers) else grown.add(at, module, group.name)
                _leaves(grown, leaf_of, [layer for layer in inside if id(layer) in shown], len(ranked))
                grown.rest(leaf_of, [layer for layer in inside if id(layer) not in shown])
            named = {module.name for module, _ in modules}
            grown.rest(at, [layer for layer in members if _module(layer) not in named])
    names, parents, values, colours = tuple(grown.names), tuple(grown.parents), tuple(grown.values), tuple(grown.colours)
    return Tree("Group, module, layer", names, parents, values, colours, tuple(grown.hover))


def _leaves(grown: _Growing, parent: int, layers: Sequence[Layer], total: int) -> None:
    for layer in layers:
        grown.add(parent, Share(layer.name, layer.mean_us, layer.share, 1), layer.group, lines(layer, total))


def _parts(layers: Sequence[Layer], key: Callable[[Layer], str]) -> list[tuple[Share, list[Layer]]]:
    members: dict[str, list[Layer]] = defaultdict(list)
    for layer in layers:
        members[key(layer)].append(layer)
    return [(share, members[share.name]) for share in tally(layers, key)]
