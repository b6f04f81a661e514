"""Kernel versions side by side, as they were measured on a GPU and committed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reports.blocks import Bar, Block, Cell, Column, Prose, Table
from reports.kernels import BadMeasurement, load_provenance, over_copy
from reports.run import Run
from reports.section import Section

MEASURED = Path(__file__).resolve().parent.parent.parent / "docs" / "measured"
TIMES = ("kernels-h200.json", "attention-h200.json")
ACCURACY = "kernel-accuracy-h200.json"


@dataclass(frozen=True, slots=True)
class Standing:
    """One version or peer of a family: geometric mean and worst of its time over the copy's, over `problems` problems."""

    family: str
    contender: str
    kind: str
    problems: int
    mean: float
    worst: float
    worst_problem: str


def standings(rows: Sequence[tuple[str, str, str, str, float]]) -> tuple[Standing, ...]:
    """One for each contender of each family, fastest first within the family."""
    groups: dict[tuple[str, str, str], list[tuple[str, float]]] = {}
    for family, contender, kind, problem, ratio in rows:
        groups.setdefault((family, contender, kind), []).append((problem, ratio))
    found = []
    for (family, contender, kind), entries in groups.items():
        problem, worst = max(entries, key=lambda entry: entry[1])
        mean = float(np.exp(np.mean(np.log([ratio for _, ratio in entries]))))
        found.append(Standing(family, contender, kind, len(entries), mean, worst, problem))
    families = list(dict.fromkeys(standing.family for standing in found))
    return tuple(sorted(found, key=lambda standing: (families.index(standing.family), standing.mean)))


def _blocks(_: Run) -> tuple[Block, ...]:
    return _timed() + _wrong()


def _timed() -> tuple[Block, ...]:
    blocks: list[Block] = []
    for name in TIMES:
        if not (MEASURED / name).exists():
            continue
        try:
            rows, label = standings(over_copy(MEASURED / name)), load_provenance(MEASURED / name).label
        except BadMeasurement as error:
            blocks.append(Prose(str(error), "bad"))
            continue
        told = f"Measured on {label}, not in this run (docs/measured/{name}): time over a device copy of the same bytes, cold caches."
        blocks += [Prose(told), Table(_columns(), tuple(_row(standing) for standing in rows), search=True)]
    return tuple(blocks)


def _columns() -> tuple[Column, ...]:
    return (
        Column("operation", filter=True),
        Column("version or peer", filter=True),
        Column("kind", filter=True),
        Column("problems", "", "number"),
        Column("time over copy", "geometric mean", "number"),
        Column("from the copy", kind="bar"),
        Column("worst", "", "number"),
        Column("worst problem"),
    )


def _row(standing: Standing) -> tuple[Cell, ...]:
    return (
        Cell(standing.family),
        Cell(standing.contender),
        Cell(standing.kind),
        Cell(str(standing.problems), standing.problems),
        Cell(f"{standing.mean:.3f}", standing.mean),
        Cell("", standing.mean, bar=Bar(standing.mean)),
        Cell(f"{standing.worst:.2f}", standing.worst),
        Cell(standing.worst_problem),
    )


def _wrong() -> tuple[Block, ...]:
    path = MEASURED / ACCURACY
    if not path.exists():
        return ()
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
        bad = [row for row in rows if row["failed"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return (Prose(f"{path.name}: not an accuracy table ({error!r}); make it anew: python -m bench.kernels.accuracy", "bad"),)
    if not bad:
        return (Prose(f"All {len(rows)} combinations of version, type and input class agree with float64 within their tolerance."),)
    told = (
        f"Of {len(rows)} combinations of version, type and input class held against float64, these {len(bad)} are outside their tolerance."
    )
    columns = (
        Column("version", filter=True),
        Column("type", filter=True),
        Column("input class", filter=True),
        Column("worst error", "tolerances", "number"),
        Column("why", kind="message"),
    )
    return Prose(told), Table(columns, tuple(_wrong_row(row) for row in bad))


def _wrong_row(row: dict[str, object]) -> tuple[Cell, ...]:
    worst = float(str(row["worst"]))
    shown = Cell(f"{worst:.3g}", worst) if np.isfinite(worst) else Cell("not finite")
    return Cell(str(row["kernel"])), Cell(str(row["dtype"])), Cell(str(row["input_class"])), shown, Cell(str(row["weak"] or row["fault"]))


kernels = Section(75, "Kernels", _blocks, "No kernel measurements are committed.")
