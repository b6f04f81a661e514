"""The file that says which cases to measure, the important ones first."""

from __future__ import annotations

from pathlib import Path

from bench.matrix import split_pipeline
from common.errors import UserError
from reports.case import Case

FIELDS = "variant passes precision batch backend"


def read(path: Path) -> tuple[Case, ...]:
    """A case a line, `vit:base fold+fuse_gelu fp16 1 onnxruntime_cuda`, each once; `#` begins a comment.

    Raises UserError naming the line.
    """
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); name a file with a line '{FIELDS}' for each case") from error
    found = [_case(f"{path}:{number}", text) for number, line in enumerate(lines, 1) if (text := line.partition("#")[0].strip())]
    if not found:
        raise UserError(f"{path}: no case in it; write a line '{FIELDS}' for each")
    return tuple(dict.fromkeys(found))


def _case(where: str, text: str) -> Case:
    words = text.split()
    if len(words) != len(FIELDS.split()) or not words[3].isdecimal():
        raise UserError(f"{where}: '{text}' is not '{FIELDS}'; such as vit:base none fp16 1 onnxruntime_cuda")
    variant, passes, precision, batch, backend = words
    return Case(variant, split_pipeline(passes), precision, int(batch), backend)
