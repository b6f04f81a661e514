"""records.jsonl: one line a case, appended and flushed at once, read back however the run ended."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from common.errors import UserError
from reports.record import SCHEMA, Record

_decoder = msgspec.json.Decoder(Record)


class _Version(msgspec.Struct):
    schema: int


@dataclass(frozen=True, slots=True)
class Journal:
    """What a records file holds: the readable records in order, and a warning for each thing that was not."""

    records: tuple[Record, ...]
    warnings: tuple[str, ...]


def records_of(run: Path) -> Path:
    """The records file of a run, given as its folder or as the file itself."""
    return run / "records.jsonl" if run.is_dir() or not run.exists() else run


def append(path: Path, record: Record) -> None:
    """Write one record as one line and force it to disk, so that a kill loses at most the running case.

    Raises UserError naming the file when it cannot be written (folder missing or read-only, disk full);
    what was written in part is taken back. A torn last line, left by a kill, is closed first.
    """
    line = msgspec.json.encode(record) + b"\n"
    try:
        with path.open("a+b", buffering=0) as file:
            start = file.seek(0, os.SEEK_END)
            if start and os.pread(file.fileno(), 1, start - 1) != b"\n":
                line = b"\n" + line
            try:
                if file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
            except OSError:
                file.truncate(start)
                raise
    except OSError as error:
        raise UserError(
            f"{path}: the record of {record.case.id} could not be written ({error.strerror}): "
            "free space or choose another folder with --results"
        ) from error


def load(path: Path) -> Journal:
    """Read a records file; a damaged line, torn by a kill for example, is left out with a warning.

    Raises UserError when the file cannot be read or was written by another schema.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); run: make bench") from error
    records, warnings = [], []
    for number, line in enumerate(lines, 1):
        try:
            if line.strip():
                records.append(_decode(path, number, line))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            last = number == len(lines)
            what = "the last line is torn: the run was cut off while writing it" if last else f"not a record ({error})"
            warnings.append(f"{path.name}:{number}: {what}; it is left out")
    return Journal(tuple(records), tuple(warnings))


def _decode(path: Path, number: int, line: bytes) -> Record:
    schema = msgspec.json.decode(line, type=_Version).schema
    if schema != SCHEMA:
        raise UserError(f"{path}:{number}: schema {schema}, but this trtbench reads schema {SCHEMA}; use the trtbench that wrote it")
    return _decoder.decode(line)
