"""Which graphs NVIDIA's parser and builder take, where nothing could be run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from reports.blocks import MISSING, Block, Cell, Column, Prose, Table, Tone
from reports.record import Built, Failed, Inaccurate, Measured, Rejected, Unsupported
from reports.run import Entry, Run
from reports.section import Section
from reports.wording import megabytes, message, number


@dataclass(frozen=True, slots=True)
class Answer:
    """What a build-only backend said of one case: the verdict, for which target, and its own words."""

    entry: Entry
    verdict: str
    tone: Tone
    target: str
    words: str


def answers(run: Run) -> tuple[Answer, ...]:
    """One for each case of a backend that built or refused cases and ran none of them."""
    ran = {e.case.backend for e in run.entries if isinstance(e.record.outcome, (Measured, Inaccurate))}
    asked = {e.case.backend for e in run.entries if isinstance(e.record.outcome, (Built, Rejected))}
    asked |= {e.case.backend for e in run.entries if e.case.backend.startswith("tensorrt")}
    return tuple(_answer(entry) for entry in run.entries if entry.case.backend in asked - ran)


def _answer(entry: Entry) -> Answer:
    outcome = entry.record.outcome
    match outcome:
        case Built(target=target):
            return Answer(entry, "accepted", "good", target, "")
        case Rejected(target=target, reason=reason):
            return Answer(entry, "rejected", "rejected", target, message(reason))
        case Failed(stage="build", reason=reason):
            return Answer(entry, "crashed", "bad", "", message(reason))
        case Failed(stage=stage, reason=reason):
            return Answer(entry, "not reached", "muted", "", f"{stage} failed: {message(reason)}")
        case Unsupported(reason=reason):
            return Answer(entry, "not tried", "muted", "", message(reason))
    raise AssertionError(f"{entry.case.id} ran on a build-only backend")


def _blocks(run: Run) -> tuple[Block, ...]:
    found = answers(run)
    if not found:
        return ()
    counts = Counter(answer.verdict for answer in found)
    built = [e.record.outcome for e in run.entries if isinstance(e.record.outcome, Built)]
    why = "".join(f" Not run: {reason}." for reason in dict.fromkeys(b.why_not_run.rstrip(".") for b in built))
    totals = ", ".join(f"{number:,} {verdict}" for verdict, number in counts.items())
    asked = ", ".join(sorted({answer.entry.case.backend for answer in found}))
    summary = Prose(f"{asked}: {totals}.{why} Acceptance says nothing about speed.")
    table = Table(_columns(), tuple(_row(answer) for answer in found), search=len(found) > 6)
    return summary, table.without_constant("variant", "backend").without_empty("its own words", "warnings")


def _columns() -> tuple[Column, ...]:
    return (
        Column("variant", filter=True),
        Column("passes", filter=True),
        Column("precision", filter=True),
        Column("batch", "", "number", filter=True),
        Column("backend", filter=True),
        Column("verdict", kind="badge", filter=True),
        Column("target", filter=True),
        Column("build", "s", "number"),
        Column("plan", "MB", "number"),
        Column("its own words", kind="message"),
        Column("warnings", kind="message"),
    )


def _row(answer: Answer) -> tuple[Cell, ...]:
    case, build = answer.entry.case, answer.entry.record.build
    warnings = "\n".join(message(text) for text in build.warnings) if build else ""
    return (
        Cell(case.variant, hint=case.id),
        Cell(case.pipeline, hint=case.id),
        Cell(case.precision),
        Cell(str(case.batch), case.batch),
        Cell(case.backend),
        Cell(answer.verdict, tone=answer.tone),
        Cell(answer.target or "–"),
        number(build.seconds) if build else MISSING,
        megabytes(build.bytes) if build else MISSING,
        Cell(answer.words),
        Cell(warnings),
    )


acceptance = Section(70, "TensorRT acceptance", _blocks, "No build-only backend was asked.")
