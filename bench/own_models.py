"""The user's own ONNX files as variants: what --onnx, --inputs, --reference and --dim say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from common.errors import UserError

SUFFIX = ".onnx"
HELP: Mapping[str, tuple[str, str]] = {
    "onnx": ("PATH", "an ONNX file, or a folder of them, in place of the preset's variants (may be given several times)"),
    "inputs": ("NPZ", "inputs of the ONNX file by name, axis 0 the samples (default: made up by name, type and what reads them)"),
    "reference": ("NPZ", "its outputs for --inputs by name (default: ONNX Runtime in the file's own types, optimisations off)"),
    "dim": ("NAME=SIZE", "sizes of its free dimensions, such as sequence=128,height=224 (may be given several times)"),
}
SEVERAL = ("onnx", "dim")
LARGEST = 2**24


def add_options(add: Callable[..., Any]) -> None:
    """The four options, by pytest's `addoption` or argparse's `add_argument`."""
    for option, (metavar, text) in HELP.items():
        several = {"action": "append", "default": []} if option in SEVERAL else {}
        add(f"--{option}", metavar=metavar, help=text, **several)


def with_own(variants: str | None, option: Callable[[str], Any]) -> str | None:
    """The comma list of `--variants` with the names that ONNX files were opened under; `option` answers for the four options.

    A path that ends in .onnx may stand in the list itself. Raises UserError with one sentence, nothing executed.
    """
    from variants.find import names
    from variants.own.known import Given
    from variants.own.opened import open_files

    listed = [part.strip() for part in (variants or "").split(",")]
    files = [Path(part) for part in (*option("onnx"), *(part for part in listed if part.endswith(SUFFIX)))]
    given = Given(_path(option("inputs")), _path(option("reference")), _dims(option("dim")))
    if not files:
        used = [f"--{name}" for name in ("inputs", "reference", "dim") if option(name)]
        if used:
            raise UserError(f"{used[0]}: speaks of an ONNX file, and none was given; add --onnx model.onnx")
        return variants
    opened = open_files(files, given, {name.split(":")[0] for name in names()})
    return ",".join([*(part for part in listed if part and not part.endswith(SUFFIX)), *opened])


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _dims(texts: Iterable[str]) -> dict[str, int]:
    found = {}
    for part in (part.strip() for text in texts for part in text.split(",")):
        name, _, size = part.rpartition("=")
        if not name or re.fullmatch(r"\d{1,8}", size) is None or not 1 <= int(size) <= LARGEST:
            raise UserError(f"--dim: '{part}' is not NAME=SIZE with a size from 1 to {LARGEST}, such as sequence=128")
        found[name.strip()] = int(size)
    return found
