"""The file that says which cases to measure, the important ones first, and which two to hold against each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.matrix import split_pipeline
from common.errors import UserError
from reports.case import Case

FIELDS = "variant passes precision batch backend"
AGAINST = "against"


@dataclass(frozen=True, slots=True)
class Cell:
    """A case to run; with `against`, the two taking turns, each of which must have been measured before."""

    case: Case
    against: Case | None = None

    @property
    def id(self) -> str:
        """The case's, and the other's."""
        return f"{self.case.id} {AGAINST} {self.against.id}" if self.against else self.case.id


def read(path: Path) -> tuple[Cell, ...]:
    """A case a line, `vit:base fold+fuse_gelu fp16 1 onnxruntime_cuda`, or two with the word `against` between; `#` begins a comment.

    Each once. Raises UserError naming the line.
    """
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); name a file with a line '{FIELDS}' for each case") from error
    found = [_cell(f"{path}:{number}", text) for number, line in enumerate(lines, 1) if (text := line.partition("#")[0].strip())]
    if not found:
        raise UserError(f"{path}: no case in it; write a line '{FIELDS}' for each")
    return tuple(dict.fromkeys(found))


def _cell(where: str, text: str) -> Cell:
    one, _, other = text.partition(f" {AGAINST} ")
    return Cell(_case(where, one), _case(where, other) if other else None)


def _case(where: str, text: str) -> Case:
    words = text.split()
    if len(words) != len(FIELDS.split()) or not words[3].isdecimal():
        raise UserError(f"{where}: '{text}' is not '{FIELDS}'; such as vit:base none fp16 1 onnxruntime_cuda")
    variant, passes, precision, batch, backend = words
    return Case(variant, split_pipeline(passes), precision, int(batch), backend)
