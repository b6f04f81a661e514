"""The report: one HTML file that works offline and fetches nothing."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from common.discover import discover
from common.errors import UserError
from reports.blocks import Block, Prose
from reports.encode import island
from reports.journal import Journal
from reports.run import Run, read_run
from reports.section import Section

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("table.js", "chart.js", "page.js")


@dataclass(frozen=True, slots=True)
class Part:
    """A section as it is printed: `name` is its anchor, `label` the first line of its docstring."""

    name: str
    title: str
    label: str
    blocks: tuple[Block, ...]


def write_report(journal: Journal, path: Path) -> None:
    """Write the report of a journal to `path`; see `write_page`."""
    write_page(render(journal), path, "the records are kept, and trtbench report renders them again")


def write_page(text: str, path: Path, remark: str = "") -> None:
    """Write a page to `path`, at once or not at all; the folder is made where it is missing.

    Raises UserError naming the file where it cannot be written (folder read-only, disk full), with a remark on what is not lost.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with unfinished.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        reason = f"{path}: the report could not be written ({error.strerror}): free space or choose another folder"
        raise UserError("; ".join(filter(None, (reason, remark)))) from error


def render(journal: Journal) -> str:
    """The whole page as text."""
    run = read_run(journal)
    return page("trtbench report", ("What each optimisation step is worth", _span(run)), parts(run))


def page(title: str, head: tuple[str, str], shown: Sequence[Part]) -> str:
    """A page of its own as text: title of the window, heading and the line below it, and what follows."""
    scripts = tuple(Markup(text) for text in (get_plotlyjs(), *map(_read, SCRIPTS)))
    template = _templates().get_template("page.html")
    return template.render(
        title=title,
        head=head,
        parts=shown,
        style=Markup(_read("style.css")),
        scripts=scripts,
        policy=_policy(scripts),
    )


def parts(run: Run) -> tuple[Part, ...]:
    """Every section in its order; one with nothing to show has its sentence."""
    declared = sorted(discover("reports.sections", Section).values(), key=lambda found: (found.value.order, found.name))
    return tuple(
        Part(found.name, found.value.title, found.label, found.value.blocks(run) or (Prose(found.value.empty),)) for found in declared
    )


def _span(run: Run) -> str:
    started = sorted(entry.record.started for entry in run.entries)
    variants = ", ".join(dict.fromkeys(entry.case.variant for entry in run.entries))
    if not started:
        return "no records"
    return f"{variants} · {started[0]}" + (f" to {started[-1]}" if started[-1] != started[0] else "")


def _policy(scripts: tuple[Markup, ...]) -> str:
    """Only the page's own scripts may run, and nothing may be fetched: a second lock behind the escaping."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:"


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["island"] = _island
    return environment


def _island(block: Block) -> Markup:
    kind, text = island(block)
    return Markup('<script type="{}">{}</script>').format(kind, Markup(text))


def _read(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")
