"""Ranked layers, shares and diffs as lines for a terminal or a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import get_args

from reports.layers.attribution import Attribution, NodeTime, Total, summary
from reports.layers.diff import Diff, Kind, Movement, Step, group_steps
from reports.layers.finding import Finding
from reports.layers.layer import Layer
from reports.layers.profile import Profile
from reports.layers.tally import Share, tally
from reports.layers.view.findings import weight
from reports.layers.view.text import precision, time_us
from reports.wording import count

BAR = 12
NARROWEST = 20
"""Characters that a name keeps however narrow the terminal is."""
TABLE = 20
CODES = {"bold": "1", "dim": "2", "good": "32", "bad": "31", "warn": "33"}


@dataclass(frozen=True, slots=True)
class Screen:
    """Characters in a line, and whether colours are wanted."""

    width: int = 120
    colour: bool = False

    def paint(self, tone: str, text: str) -> str:
        """The text in a tone of CODES."""
        return f"\x1b[{CODES[tone]}m{text}\x1b[0m" if self.colour and tone in CODES else text


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a plain table; the last one takes what is left of the line, others as wide as their longest text."""

    title: str
    right: bool = True


def head(profile: Profile, screen: Screen) -> list[str]:
    """What the profile is, and what the reader must know of it."""
    words = [profile.title]
    words += [f"TensorRT {profile.version}"] if profile.version else []
    words += [count(len(profile.layers), "layer")]
    words += [count(profile.runs, "run")] if profile.runs is not None else []
    words += [f"sum of layers {time_us(profile.sum_us)} µs a run"] if profile.sum_us is not None else []
    words += [f"latency {time_us(profile.latency_us)} µs"] if profile.latency_us is not None else []
    if profile.unmatched is not None and len(profile.sources) > 1:
        words.append(f"{profile.unmatched:.1%} of the time unmatched")
    lines = [screen.paint("bold", printable(words[0])) + "".join(f" · {word}" for word in words[1:])]
    lines += [f"  {kind}: {printable(path)}" for path, kind in profile.sources]
    return [*lines, *(screen.paint("warn", "note: ") + printable(note) for note in profile.notes)]


def ranked(layers: Sequence[Layer], screen: Screen) -> list[str]:
    """A table of layers in the order given; columns that no layer fills are left out."""
    columns: list[tuple[Column, list[str]]] = [(Column("rank"), [str(layer.rank) for layer in layers])]
    if any(layer.mean_us is not None for layer in layers):
        columns += [
            (Column("mean µs"), [time_us(layer.mean_us) for layer in layers]),
            (Column("share"), [f"{layer.share:.1%}" for layer in layers]),
            (Column("sum"), [f"{layer.cumulative:.1%}" for layer in layers]),
        ]
        if screen.width >= 90:
            columns.append((Column("", right=False), bars([layer.share for layer in layers])))
        if screen.width >= 100 and any(layer.median_us is not None for layer in layers):
            columns.insert(2, (Column("median"), [time_us(layer.median_us) for layer in layers]))
    columns.append((Column("group", right=False), [layer.group for layer in layers]))
    if screen.width >= 100 and any(layer.type for layer in layers):
        columns.append((Column("type", right=False), [cut(printable(layer.type), 24) for layer in layers]))
    if any(layer.inputs or layer.outputs for layer in layers):
        columns.append((Column("precision", right=False), [cut(precision(layer), 18) for layer in layers]))
    columns.append((Column("layer", right=False), [printable(layer.name) for layer in layers]))
    return grid(columns, screen)


def shares(layers: Sequence[Layer], by: str, most: int, screen: Screen) -> list[str]:
    """A table of what the layers of one type or group take together."""
    rows = tally(layers, lambda layer: str(getattr(layer, by)))
    found = rows[:most]
    columns = [
        (Column("µs a run"), [time_us(share.mean_us) for share in found]),
        (Column("share"), [f"{share.share:.1%}" for share in found]),
        (Column("", right=False), bars([share.share for share in found])),
        (Column("layers"), [f"{share.layers:,}" for share in found]),
        (Column(by, right=False), [printable(share.name) or "(none)" for share in found]),
    ]
    return [*grid(columns, screen), *more(rows, most)]


def rows_by(by: str, layers: Sequence[Layer], found: Attribution | None) -> Sequence[NodeTime | Total | Share]:
    """What `--by` sums to."""
    if found is None:
        return tally(layers, lambda layer: str(getattr(layer, by)))
    return found.nodes if by == "onnx" else found.modules() if by == "module" else found.parts()


def about(found: Attribution, screen: Screen) -> list[str]:
    """What the attribution says as a whole."""
    return [*filter(None, (summary(found),)), *(screen.paint("warn", "note: ") + printable(note) for note in found.notes)]


def rest(layers: Sequence[Layer], most: int) -> list[str]:
    """What the layers beyond those shown take together."""
    share = sum(layer.share for layer in layers[most:])
    return [f"{count(len(layers) - most, 'more layer')} of {share:.1%} together: --top {len(layers)}"] if len(layers) > most else []


def hints(profile: Profile) -> list[str]:
    """Which file would tell more."""
    if profile.sum_us is None:
        return ["there are no times: give the profile too (trtexec --exportProfile=profile.json)"]
    if not any(layer.type for layer in profile.layers):
        return ["types, precisions and bytes: give the layer info too (trtexec --exportLayerInfo=info.json --profilingVerbosity=detailed)"]
    return []


def inside(found: Attribution, by: str, most: int, screen: Screen) -> list[str]:
    """Time by ONNX node, or by module or part; ~ marks times of which a part is divided among several nodes of one layer."""
    rows = found.nodes if by == "onnx" else found.modules() if by == "module" else found.parts()
    shown = rows[:most]
    columns = [
        (Column("µs a run"), [("~" if row.estimated_us else "") + time_us(row.time_us) for row in shown]),
        (Column("share"), [f"{row.share:.1%}" for row in shown]),
        (Column("", right=False), bars([row.share for row in shown])),
        (Column("estimated"), [f"{row.estimated_us / row.time_us:.0%}" if row.time_us else "–" for row in shown]),
    ]
    nodes = [row for row in shown if isinstance(row, NodeTime)]
    if nodes:
        columns.append((Column("in layers of"), [time_us(sum({p.rank: p.layer_us for p in row.pieces}.values())) for row in nodes]))
        columns.append((Column("operator", right=False), [cut(printable(row.type), 24) for row in nodes]))
    else:
        columns.append((Column("nodes"), [f"{row.nodes:,}" for row in shown if isinstance(row, Total)]))
    columns.append((Column("ONNX node" if by == "onnx" else by, right=False), [printable(row.name) for row in shown]))
    return [*grid(columns, screen), *more(rows, most)]


def findings(found: Sequence[Finding], screen: Screen) -> list[str]:
    """Each with what it concerns, its evidence and its remedy."""
    lines = []
    for one in found:
        lines += [f"{screen.paint('bold', printable(one.title))}  {weight(one)}".rstrip()]
        lines += [f"    {cut(printable(line), max(screen.width - 4, NARROWEST))}" for line in one.evidence]
        lines += [f"    {screen.paint('good', '->')} {line}" for line in wrap(printable(one.remedy), max(screen.width - 7, NARROWEST))[:1]]
        lines += [f"       {line}" for line in wrap(printable(one.remedy), max(screen.width - 7, NARROWEST))[1:]]
    return lines or ["nothing stands out in what these files say"]


def more(rows: Sequence[object], most: int) -> list[str]:
    """How many rows there are beyond those shown, and how to see them."""
    return [f"{len(rows) - most:,} more: --top {len(rows)}"] if len(rows) > most else []


def compared(found: Diff, screen: Screen, most: int = TABLE) -> list[str]:
    """Totals, groups, the waterfall, the largest movements."""
    tone = "good" if found.change_us < 0 else "bad" if found.change_us > 0 else ""
    total = f"{change(found.change_us)} µs" + (f" ({found.change_us / found.before_us:+.1%})" if found.before_us else "")
    kinds = {kind: sum(m.kind == kind for m in found.movements) for kind in get_args(Kind)}
    moved = [m for m in found.movements if m.kind != "kept" or m.change_us]
    return [
        f"sum of layers {time_us(found.before_us)} -> {time_us(found.after_us)} µs a run: {screen.paint(tone, total)}",
        ", ".join(f"{number:,} {kind}" for kind, number in kinds.items() if number) or "no layers on either side",
        *(screen.paint("warn", "note: ") + printable(note) for note in found.notes),
        *("", screen.paint("bold", "groups"), *_steps(found, group_steps(found), "group", screen)),
        *("", screen.paint("bold", "largest changes"), *_steps(found, found.waterfall, "layer", screen)),
        *("", screen.paint("bold", "layers"), *_moved(moved[:most], screen)),
        *more(moved, most),
    ]


def _moved(moved: Sequence[Movement], screen: Screen) -> list[str]:
    columns: list[tuple[Column, list[str]]] = [
        (Column("change µs"), [("~" if m.doubtful else "") + change(m.change_us) for m in moved]),
        (Column("before"), [time_us(m.before_us) if m.before else "–" for m in moved]),
        (Column("after"), [time_us(m.after_us) if m.after else "–" for m in moved]),
        (Column("what", right=False), [_what(m) for m in moved]),
        (Column("paired by", right=False), [m.how or "–" for m in moved]),
        (Column("layer", right=False), [printable(m.name) for m in moved]),
    ]
    return grid(columns, screen)


def _what(movement: Movement) -> str:
    several = len(movement.before) > 1 or len(movement.after) > 1
    return f"{movement.kind} {len(movement.before)}:{len(movement.after)}" if several else movement.kind


def _steps(found: Diff, steps: Sequence[Step], title: str, screen: Screen) -> list[str]:
    names = [f"before: {found.before.title}", *(step.label for step in steps), f"after: {found.after.title}"]
    columns = [
        (Column("change µs"), ["", *(change(step.change_us) for step in steps), ""]),
        (Column("total µs"), [time_us(found.before_us), *(time_us(step.level_us) for step in steps), time_us(found.after_us)]),
        (Column(title, right=False), [printable(name) for name in names]),
    ]
    return grid(columns, screen)


def grid(columns: Sequence[tuple[Column, Sequence[str]]], screen: Screen) -> list[str]:
    """Head and rows, the last column cut in the middle where the line is too short."""
    *fixed, (last, names) = columns
    widths = [max(len(text) for text in (column.title, *texts)) for column, texts in fixed]
    room = max(screen.width - sum(widths) - 2 * len(widths), NARROWEST)

    def line(texts: Iterable[str], name: str) -> str:
        placed = zip(texts, widths, fixed, strict=True)
        cells = (text.rjust(width) if column.right else text.ljust(width) for text, width, (column, _) in placed)
        return "  ".join((*cells, cut(name, room))).rstrip()

    rows = zip(zip(*(texts for _, texts in fixed), strict=True), names, strict=True)
    return [screen.paint("dim", line((column.title for column, _ in fixed), last.title)), *(line(texts, name) for texts, name in rows)]


def bars(fractions: Sequence[float]) -> list[str]:
    """Each as a bar, the largest BAR characters long, in eighths of a character."""
    largest = max(fractions, default=0.0) or 1.0
    eighths = [round(fraction / largest * BAR * 8) for fraction in fractions]
    return ["█" * (n // 8) + " ▏▎▍▌▋▊▉"[n % 8].strip() for n in eighths]


def change(value_us: float) -> str:
    """A signed number of microseconds; what rounds to nothing has no sign."""
    return f"{'+' if value_us > 0 else '-' if value_us < 0 else ''}{time_us(abs(value_us))}"


def cut(text: str, width: int) -> str:
    """At most `width` characters, the middle left out: the head says what kind of layer it is, the tail which one."""
    if len(text) <= width:
        return text
    tail = (width - 1) * 3 // 5
    return text[: width - 1 - tail] + "…" + text[len(text) - tail :]


def printable(text: str) -> str:
    """The text without characters that move a terminal's cursor or colour it."""
    return text if text.isprintable() else "".join(character if character.isprintable() else "·" for character in text)
