"""What a section is made of: plain data that the page knows how to print, and nothing about how."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, TypeAlias

Tone: TypeAlias = Literal["", "good", "info", "warn", "bad", "rejected", "muted"]


@dataclass(frozen=True, slots=True)
class Prose:
    """One paragraph of plain text."""

    kind: ClassVar[str] = "prose"
    text: str
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Tile:
    """One number worth a glance, what it is, and what bounds it."""

    label: str
    value: str
    detail: str = ""
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Tiles:
    """A few tiles in a row."""

    kind: ClassVar[str] = "tiles"
    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values, in reading order."""

    kind: ClassVar[str] = "facts"
    title: str
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to act on: a title, what it weighs, the lines that show it, and what to do."""

    title: str
    weight: str
    lines: tuple[str, ...]
    action: str


@dataclass(frozen=True, slots=True)
class Items:
    """Things to act on, the weightiest first."""

    kind: ClassVar[str] = "items"
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """A value drawn from the column's reference, with its interval where it has one."""

    value: float
    low: float | None = None
    high: float | None = None
    colour: int | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """Text as shown; `sort` is the number it stands for, `hint` what hovering adds, `bar` what is drawn instead."""

    text: str
    sort: float | None = None
    tone: Tone = ""
    hint: str = ""
    bar: Bar | None = None


MISSING = Cell("–", tone="muted")


@dataclass(frozen=True, slots=True)
class Column:
    """A column's head; `filter` gives it a select, `reference` is where the bars of a bar column begin.

    A name may be long: it wraps, and is cut after a few lines until it is clicked.
    """

    title: str
    unit: str = ""
    kind: Literal["text", "number", "badge", "bar", "message", "name"] = "text"
    filter: bool = False
    hint: str = ""
    reference: float = 1.0


@dataclass(frozen=True, slots=True)
class Table:
    """A sortable table; with `search` it can be searched and filtered too. Every row has a cell a column.

    The first `frozen` columns stay in view when the others are scrolled.
    """

    kind: ClassVar[str] = "table"
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    title: str = ""
    search: bool = False
    frozen: int = 0

    def without_constant(self, *titles: str) -> Table:
        """The same table less the named columns in which all of several rows say the same."""
        return self._without({title for title in titles if len(self.rows) > 1 and len(self._texts(title)) == 1})

    def without_empty(self, *titles: str) -> Table:
        """The same table less the named columns in which no row says anything."""
        return self._without({title for title in titles if self._texts(title) == {""}})

    def _texts(self, title: str) -> set[str]:
        index = [column.title for column in self.columns].index(title)
        return {row[index].text for row in self.rows}

    def _without(self, titles: set[str]) -> Table:
        kept = [index for index, column in enumerate(self.columns) if column.title not in titles]
        rows = tuple(tuple(row[index] for index in kept) for row in self.rows)
        return replace(self, columns=tuple(self.columns[index] for index in kept), rows=rows)


@dataclass(frozen=True, slots=True)
class Trace:
    """One series. Points have `hover` lines each and may have x intervals; a curve is points joined by a line.

    Bars lie flat, one a label in `names`, and begin at `base` where that is given. `colours` index the page's palette, one for
    all or one a mark; `panel` picks the y axis.
    """

    shape: Literal["points", "line", "bars", "curve"]
    name: str
    x: tuple[float, ...]
    y: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    hover: tuple[tuple[str, ...], ...] = ()
    x_low: tuple[float, ...] = ()
    x_high: tuple[float, ...] = ()
    colours: tuple[int, ...] = ()
    panel: int = 0
    base: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis with its unit in the title; `ticks` are (place, text), where the numbers alone would mislead."""

    title: str
    log: bool = False
    ticks: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture; two y axes are two panels over the same x."""

    kind: ClassVar[str] = "chart"
    title: str
    traces: tuple[Trace, ...]
    x: Axis
    y: tuple[Axis, ...]
    legend: bool = True


@dataclass(frozen=True, slots=True)
class Tree:
    """Areas inside areas. `parents` are positions in `names`, -1 for the root, which comes first; a value holds its children's.

    `colours` index the page's palette, `hover` are the lines that pointing at an area shows.
    """

    kind: ClassVar[str] = "tree"
    title: str
    names: tuple[str, ...]
    parents: tuple[int, ...]
    values: tuple[float, ...]
    colours: tuple[int, ...]
    hover: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Beside:
    """Pictures or tables next to each other where the window is wide enough, below each other where it is not."""

    kind: ClassVar[str] = "beside"
    blocks: tuple[Table | Chart | Tree, ...]


Drawn: TypeAlias = Prose | Table | Chart | Tree | Beside


@dataclass(frozen=True, slots=True)
class Option:
    """What is shown when `names`, one for each label of the chooser, are chosen."""

    names: tuple[str, ...]
    blocks: tuple[Drawn, ...]


@dataclass(frozen=True, slots=True)
class Chooser:
    """Selects, one a label, that show one option of many."""

    kind: ClassVar[str] = "chooser"
    labels: tuple[str, ...]
    options: tuple[Option, ...]


Block: TypeAlias = Prose | Tiles | Facts | Items | Table | Chart | Tree | Beside | Chooser
