"""What a search has found out so far, one line each, so that one that was killed goes on where it was."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from common.errors import UserError

T = TypeVar("T")


class Line(msgspec.Struct, frozen=True):
    """One thing found: `kind` and `key` say what, `value` is as its kind has it."""

    kind: str
    key: str
    value: msgspec.Raw


@dataclass(slots=True)
class Notebook:
    """A file of JSON lines; a torn last line, left by a kill, is left out and overwritten. `written` counts new lines."""

    path: Path
    known: dict[tuple[str, str], msgspec.Raw] = field(default_factory=dict)
    written: int = 0

    def __post_init__(self) -> None:
        whole = 0
        for line in self.path.read_bytes().splitlines(keepends=True) if self.path.exists() else ():
            try:
                found = msgspec.json.decode(line, type=Line)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                break
            if not line.endswith(b"\n"):
                break
            self.known[found.kind, found.key] = found.value
            whole += len(line)
        if self.path.exists() and whole < self.path.stat().st_size:
            os.truncate(self.path, whole)

    def remember(self, kind: str, key: str, find_out: Callable[[], T], type_: Any) -> T:
        """What was found out under this key, now or earlier; `type_` is what msgspec decodes it as."""
        if (kind, key) not in self.known:
            value = msgspec.Raw(msgspec.json.encode(find_out()))
            self._append(Line(kind, key, value))
            self.known[kind, key] = value
        found: T = msgspec.json.decode(self.known[kind, key], type=type_)
        return found

    def _append(self, line: Line) -> None:
        try:
            with self.path.open("ab", buffering=0) as file:
                file.write(msgspec.json.encode(line) + b"\n")
                os.fsync(file.fileno())
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written ({error.strerror}); free space or choose another --output") from error
        self.written += 1
