"""A section's blocks as Markdown, for a page that is read as text: bars and pictures are left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reports.blocks import Block, Cell, Chooser, Column, Prose, Table


def markdown(blocks: Iterable[Block]) -> str:
    """Prose, tables and choosers of them, in order; every option of a chooser under a heading of its own."""
    return "\n\n".join(part for block in blocks for part in _parts(block)) + "\n"


def _parts(block: Block) -> Iterator[str]:
    match block:
        case Prose(text=text):
            yield text
        case Table():
            yield from _table(block)
        case Chooser(options=options):
            for option in options:
                yield f"## {', '.join(option.names)}"
                for inner in option.blocks:
                    yield from _parts(inner)


def _table(table: Table) -> Iterator[str]:
    if table.title:
        yield f"### {table.title}"
    kept = [index for index, column in enumerate(table.columns) if column.kind != "bar"]
    heads = [_head(table.columns[index]) for index in kept]
    marks = ["---:" if table.columns[index].kind == "number" else "---" for index in kept]
    rows = [[_text(row[index]) for index in kept] for row in table.rows]
    yield "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, marks, *rows))


def _head(column: Column) -> str:
    return f"{column.title}, {column.unit}" if column.unit else column.title


def _text(cell: Cell) -> str:
    return cell.text.replace("|", r"\|").replace("\n", " ")
