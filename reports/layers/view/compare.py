"""A diff of two profiles as blocks."""

from __future__ import annotations

from collections.abc import Sequence

from reports.blocks import MISSING, Axis, Bar, Block, Cell, Chart, Column, Prose, Table, Tile, Tiles, Tone, Trace
from reports.layers.diff import Diff, Kind, Movement, Step, group_steps
from reports.layers.view.ranked import CHARTED
from reports.layers.view.terminal import change
from reports.layers.view.text import LISTED, WIDTH, precision, time_us
from reports.wording import count, number, shorten

FASTER, SLOWER, TOTAL = 3, 2, 0
KINDS: dict[Kind, Tone] = {"kept": "muted", "merged": "info", "split": "info", "regrouped": "info", "appeared": "warn", "vanished": "warn"}

COLUMNS = (
    Column("layer", kind="name"),
    Column("group", filter=True),
    Column("what", kind="badge", filter=True),
    Column("before", "µs a run", "number"),
    Column("after", "µs a run", "number"),
    Column("change", "µs a run", "number", hint="~: within what mean and median of one side differ by; not claimed"),
    Column("", kind="bar", reference=0),
    Column("change", "%", "number"),
    Column("layers before", "", "number"),
    Column("layers after", "", "number"),
    Column("precision", filter=True),
    Column("paired by", filter=True),
)


def tiles(found: Diff) -> Tiles:
    """The totals, and how many layers found a partner."""
    ratio = f"{found.change_us / found.before_us:+.1%}" if found.before_us else "from nothing"
    tone: Tone = "good" if found.change_us < 0 else "warn" if found.change_us > 0 else ""
    kinds = {kind: sum(m.kind == kind for m in found.movements) for kind in KINDS}
    words = ", ".join(f"{many:,} {kind}" for kind, many in kinds.items() if many and kind != "kept")
    return Tiles(
        (
            Tile("before", f"{time_us(found.before_us)} µs", _side(found.before.title, found.before.version, len(found.before.layers))),
            Tile("after", f"{time_us(found.after_us)} µs", _side(found.after.title, found.after.version, len(found.after.layers))),
            Tile("change of the sum of layers", f"{change(found.change_us)} µs", ratio, tone),
            Tile("kept", f"{kinds['kept']:,}", words or "nothing appeared, vanished, merged or split"),
        )
    )


def _side(title: str, version: str, layers: int) -> str:
    return "\n".join(word for word in (shorten(title), f"TensorRT {version}" if version else "", count(layers, "layer")) if word)


def notes(found: Diff) -> tuple[Prose, ...]:
    """What the numbers cannot tell."""
    return tuple(Prose(note, "warn") for note in found.notes)


def groups(found: Diff) -> tuple[Block, ...]:
    """The waterfall of the groups, and each in a row."""
    rows = tuple(
        (
            Cell(group.group),
            Cell(time_us(group.before_us), group.before_us),
            Cell(time_us(group.after_us), group.after_us),
            _change(group.change_us),
            _bar(group.change_us),
            _relative(group.change_us, group.before_us),
            number(group.before, 0),
            number(group.after, 0),
        )
        for group in found.groups
    )
    columns = (Column("group"), *COLUMNS[3:10])
    return _waterfall("From one total to the other, by group", found, group_steps(found)), Table(columns, rows)


def layers(found: Diff, most: int) -> tuple[Block, ...]:
    """The waterfall of the largest movements, and every movement in a row."""
    rows = tuple(_row(movement) for movement in found.movements[:most])
    left = found.movements[most:]
    rest = f"{count(len(left), 'smaller change')} of {change(sum(m.change_us for m in left))} µs together are left out here"
    table = Table(COLUMNS, rows, search=len(rows) > CHARTED).without_empty("precision", "paired by")
    return _waterfall("The largest changes", found, found.waterfall), table, *((Prose(rest, "warn"),) if left else ())


def _waterfall(title: str, found: Diff, steps: Sequence[Step]) -> Chart:
    """Bars that begin where the one before ended; the last is their sum."""
    bars = [(step.label, step.change_us, step.level_us - step.change_us - found.before_us, _hover(found, step)) for step in steps]
    bars.append(("together", found.change_us, 0.0, ("together", f"{change(found.change_us)} µs a run")))
    trace = Trace(
        "bars",
        "change",
        x=tuple(bar[1] for bar in bars),
        names=tuple(bar[0] for bar in bars),
        hover=tuple(bar[3] for bar in bars),
        colours=(*(FASTER if step.change_us < 0 else SLOWER for step in steps), TOTAL),
        base=tuple(bar[2] for bar in bars),
    )
    axis = Axis(f"change of the sum of layers, µs a run; 0 is the {time_us(found.before_us)} µs before")
    return Chart(title, (trace,), axis, (Axis(""),), legend=False)


def _hover(found: Diff, step: Step) -> tuple[str, ...]:
    level = f"{change(step.change_us)} µs, to {time_us(step.level_us)} µs"
    if step.movement is None:
        return shorten(step.label, WIDTH), level
    return (*_lines(found.movements[step.movement]), level)


def _lines(movement: Movement) -> tuple[str, ...]:
    lines = [f"{movement.kind}, {movement.group}" + (f", paired by {movement.how}" if movement.how else "")]
    for side, members in (("before", movement.before), ("after", movement.after)):
        lines += [
            f"{side}: {time_us(one.mean_us)} µs {precision(one)} {one.type} {shorten(one.name, WIDTH)}".replace("  ", " ")
            for one in members[:LISTED]
        ]
        lines += [f"{side}: … and {len(members) - LISTED:,} more"] if len(members) > LISTED else []
    return tuple(lines)


def _row(movement: Movement) -> tuple[Cell, ...]:
    return (
        Cell(movement.name, hint="\n".join(_lines(movement))),
        Cell(movement.group),
        Cell(movement.kind, tone=KINDS[movement.kind]),
        Cell(time_us(movement.before_us), movement.before_us) if movement.before else MISSING,
        Cell(time_us(movement.after_us), movement.after_us) if movement.after else MISSING,
        _change(movement.change_us, movement.doubtful),
        _bar(movement.change_us),
        _relative(movement.change_us, movement.before_us),
        number(len(movement.before), 0),
        number(len(movement.after), 0),
        Cell(_precisions(movement)),
        Cell(movement.how),
    )


def _precisions(movement: Movement) -> str:
    before, after = (", ".join(dict.fromkeys(filter(None, map(precision, side)))) for side in (movement.before, movement.after))
    return before or after if before == after or not (before and after) else f"{before} ⇒ {after}"


def _change(value: float, doubtful: bool = False) -> Cell:
    tone: Tone = "muted" if doubtful or not value else "good" if value < 0 else "bad"
    return Cell(("~" if doubtful else "") + change(value), value, tone)


def _bar(value: float) -> Cell:
    return Cell("", value, bar=Bar(value, colour=FASTER if value < 0 else SLOWER))


def _relative(value: float, before: float) -> Cell:
    return Cell(f"{value / before * 100:+.1f}", value / before) if before else MISSING
