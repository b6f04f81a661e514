"""What every graph pass is worth: alone, inside the whole pipeline, and in other orders."""

from __future__ import annotations

from reports.blocks import MISSING, Block, Cell, Chooser, Column, Drawn, Option, Prose, Table
from reports.pass_table import Graph, Order, PassTable, Worth, pass_tables, told
from reports.record import ModelFacts, Step
from reports.run import Entry, Run
from reports.section import Section
from reports.statistics import Estimate
from reports.wording import badge, claim, microseconds, number, range_times, range_us, ratio_bar, times

HOW = Prose(
    "The raw export and the pipeline 'all' under each library's clean-up; then every pass alone on the raw export, and what "
    "'all' loses without it. A pass needs another where it rewrites less without that one. Bytes are moved when nothing is "
    "fused, so they say what a pass saves before the runtime's own optimiser; latency is after it."
)


def _blocks(run: Run) -> tuple[Block, ...]:
    options = [Option(table.place, _tables(table)) for table in pass_tables(run)]
    if not options:
        return ()
    if len(options) == 1:
        return HOW, *options[0].blocks
    return HOW, Chooser(("variant", "backend", "batch", "environment")[: len(options[0].names)], tuple(options))


def _tables(table: PassTable) -> tuple[Drawn, ...]:
    quiet = [worth.name for worth in table.worths if worth not in told(table.worths)]
    idle = (Prose("No effect on this model, alone or inside: " + ", ".join(quiet) + "."),) if quiet else ()
    worths = Table(WORTH_COLUMNS, tuple(_worth(table, worth) for worth in told(table.worths)), "Each pass", frozen=1)
    graphs = Table(GRAPH_COLUMNS, tuple(_graph(table, graph) for graph in table.graphs), "Raw and hand-optimised, by cleaner")
    orders = Table(ORDER_COLUMNS, tuple(_order(table, order) for order in table.orders), "Orders tried")
    return graphs, worths, *idle, orders


SIZE_COLUMNS = (
    Column("nodes", "", "number"),
    Column("tensors", "", "number"),
    Column("parameters", "MB", "number", hint="initializers and Constant nodes"),
    Column("moved", "MB", "number", hint="read and written by one inference when nothing is fused"),
)
TIME_COLUMNS = (
    Column("median", "µs", "number"),
    Column("95 % interval", "µs", "number"),
    Column("speedup", "", "number", hint="against the raw export that took turns with it"),
    Column("95 % interval", "", "number"),
    Column("from 1", kind="bar"),
    Column("finding"),
)
GRAPH_COLUMNS = (Column("graph"), Column("cleaner"), *SIZE_COLUMNS, *TIME_COLUMNS)
ORDER_COLUMNS = (Column("order"), Column("passes that rewrote something, in order"), *SIZE_COLUMNS, *TIME_COLUMNS)
WORTH_COLUMNS = (
    Column("pass"),
    Column("rewrites", "alone", "number"),
    Column("rewrites", "inside", "number"),
    Column("nodes", "alone", "number", hint="change of the number of nodes on the raw export"),
    Column("speedup alone", "", "number"),
    Column("95 % interval", "", "number"),
    Column("finding alone"),
    Column("speedup inside", "", "number", hint="'all' against 'all' without it"),
    Column("95 % interval", "", "number"),
    Column("from 1", kind="bar"),
    Column("finding inside"),
    Column("needs", hint="passes without which it rewrites less inside 'all'"),
    Column("feeds", hint="passes that rewrite less without it"),
)


def _graph(table: PassTable, graph: Graph) -> tuple[Cell, ...]:
    name = "all passes" if graph.whole else "raw export"
    hint = graph.entry.case.id
    return Cell(name, hint=hint), Cell(graph.cleaner or "none"), *_sizes(graph.facts), *_times(table, graph.entry)


def _order(table: PassTable, order: Order) -> tuple[Cell, ...]:
    return Cell(order.written), Cell(" → ".join(order.effective)), *_sizes(order.entry.record.result), *_times(table, order.entry)


def _sizes(facts: ModelFacts | None) -> tuple[Cell, ...]:
    if facts is None:
        return (MISSING,) * 4
    size = facts.size
    moved = number(facts.bytes_moved / 1e6, 3, hint=f"{facts.unknown} nodes of unknown cost left out" if facts.unknown else "")
    return number(size.nodes, 0), number(size.tensors, 0), number(size.parameter_bytes / 1e6, 3), moved


def _times(table: PassTable, entry: Entry) -> tuple[Cell, ...]:
    timing = entry.timing
    if timing is None:
        said = badge(entry.record.outcome)
        return (*(MISSING,) * 5, Cell(f"{said.text}: no speed", tone=said.tone, hint=entry.reason))
    if entry.is_plain:
        said = Cell("itself" if table.noise is None else f"noise ±{table.noise:.2%}", tone="muted")
    else:
        said = claim(timing.speedup, timing.pairs, table.noise).word
    return (
        Cell(microseconds(timing.median_us.value), timing.median_us.value),
        Cell(range_us(timing.median_us), timing.median_us.half_width),
        Cell(times(timing.speedup.value), timing.speedup.value),
        Cell(range_times(timing.speedup), timing.speedup.half_width),
        ratio_bar(timing.speedup),
        said,
    )


def _worth(table: PassTable, worth: Worth) -> tuple[Cell, ...]:
    alone = _ratio(worth.alone, worth, table)
    inside = _ratio(worth.inside, worth, table)
    step = worth.alone_step
    change = MISSING if step is None else Cell(f"{step.after.nodes - step.before.nodes:+,}", step.after.nodes - step.before.nodes)
    return (
        Cell(worth.name, hint=_label(worth)),
        _rewrites(worth.alone_step),
        _rewrites(worth.inside_step),
        change,
        *alone,
        *inside[:2],
        MISSING if worth.inside is None else ratio_bar(worth.inside),
        inside[2],
        Cell(", ".join(worth.needs)),
        Cell(", ".join(worth.feeds)),
    )


def _label(worth: Worth) -> str:
    step = worth.inside_step or worth.alone_step
    return "\n".join((step.label, *step.declined[:5])) if step else ""


def _rewrites(step: Step | None) -> Cell:
    if step is None:
        return MISSING
    return number(step.rewrites, 0) if step.rewrites else Cell("none", 0, tone="muted", hint="\n".join(step.declined[:5]))


def _ratio(ratio: Estimate | None, worth: Worth, table: PassTable) -> tuple[Cell, Cell, Cell]:
    if ratio is None:
        return MISSING, MISSING, Cell("no pair timed", tone="muted")
    said = claim(ratio, worth.pairs, table.noise)
    return Cell(times(ratio.value), ratio.value), Cell(range_times(ratio), ratio.half_width), said.word


pass_table = Section(42, "Pass table", _blocks, "No case ran the pipeline 'all', so there is no table of what each pass is worth.")
