"""Content-addressed artefacts: what was exported, transformed, calibrated or built once is not made again."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from common.errors import UserError

T = TypeVar("T")
FILE, MANIFEST = "artefact", "manifest.json"


class _Manifest(msgspec.Struct, frozen=True):
    """`sha256` is of the artefact and of what lies beside it (external data), `info` what its maker said, `key` what it was made from."""

    sha256: str
    seconds: float
    key: tuple[str, ...]
    info: msgspec.Raw


@dataclass(frozen=True, slots=True)
class Artefact(Generic[T]):
    """One artefact: its file, the file's sha256, the seconds it took when it was made, and whether that was earlier."""

    path: Path
    sha256: str
    seconds: float
    cached: bool
    info: T


@dataclass(slots=True)
class Cache:
    """Artefacts below `root`, one folder each; `made` and `reused` count by stage, `warnings` names what was damaged."""

    root: Path
    made: dict[str, int] = field(default_factory=dict)
    reused: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def artefact(self, stage: str, key: Sequence[str], make: Callable[[Path], T], kind: type[T]) -> Artefact[T]:
        """The artefact of `stage` for `key`, made by `make(file) -> info` when it is not there or was altered.

        It is written beside and then renamed, so that a kill or a second run never leaves half of one. Raises
        UserError naming the folder when it cannot be written.
        """
        digest = hashlib.sha256("\0".join((stage, *key)).encode()).hexdigest()
        folder = self.root / stage / digest[:32]
        found = self._read(folder, kind)
        if found is not None:
            self.reused[stage] = self.reused.get(stage, 0) + 1
            return found
        try:
            self._make(folder, tuple(key), make)
        except OSError as error:
            raise UserError(
                f"{self.root}: the cache cannot be written ({error.strerror}): free space or choose another folder with --cache"
            ) from error
        self.made[stage] = self.made.get(stage, 0) + 1
        made = self._read(folder, kind)
        if made is None:
            raise UserError(f"{folder}: changed while it was being written; remove it and run again")
        return Artefact(made.path, made.sha256, made.seconds, False, made.info)

    def _read(self, folder: Path, kind: type[T]) -> Artefact[T] | None:
        if not folder.exists():
            return None
        try:
            manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=_Manifest)
            if _digest(folder) == manifest.sha256:
                info = msgspec.json.decode(manifest.info, type=kind)
                return Artefact(folder / FILE, manifest.sha256, manifest.seconds, True, info)
        except (OSError, msgspec.MsgspecError):
            pass
        self.warnings.append(f"{folder / FILE}: truncated or altered; made again")
        shutil.rmtree(folder, ignore_errors=True)
        return None

    def _make(self, folder: Path, key: tuple[str, ...], make: Callable[[Path], Any]) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-", ignore_cleanup_errors=True) as made:
            file = Path(made) / FILE
            start = time.perf_counter()
            info = msgspec.Raw(msgspec.json.encode(make(file)))
            manifest = _Manifest(_digest(Path(made)), time.perf_counter() - start, key, info)
            (Path(made) / MANIFEST).write_bytes(msgspec.json.encode(manifest))
            os.chmod(made, 0o755)
            try:
                os.rename(made, folder)
            except OSError:
                if not (folder / MANIFEST).exists():
                    raise
            Path(made).mkdir(exist_ok=True)

    def summary(self) -> str:
        """One line: what was made and what came from the cache, by stage."""
        stages = sorted(self.made.keys() | self.reused.keys())
        parts = (f"{stage} {self.made.get(stage, 0)} made, {self.reused.get(stage, 0)} cached" for stage in stages)
        return "; ".join(parts) or "nothing was needed"


def _digest(folder: Path) -> str:
    """Of the artefact alone, or together with the names and bytes of the files that its maker wrote beside it."""
    own = file_digest(folder / FILE)
    beside = [file for file in sorted(folder.iterdir()) if file.name not in (FILE, MANIFEST)]
    if not beside:
        return own
    return hashlib.sha256("".join([own, *(f"{file.name}\0{file_digest(file)}" for file in beside)]).encode()).hexdigest()


def copy(path: Path, file: Path) -> None:
    """An artefact's file and what lies beside it, as another artefact's."""
    for source in path.parent.iterdir():
        if source.name != MANIFEST:
            shutil.copyfile(source, file.parent / source.name)


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def library(distribution: str) -> str:
    """ "name version" of an installed distribution, for a key; "name absent" when it is not installed."""
    try:
        return f"{distribution} {version(distribution)}"
    except PackageNotFoundError:
        return f"{distribution} absent"


def sources(folder: Path, pattern: str = "*.py") -> str:
    """One sha256 over the Python files directly in `folder`: shared code is part of what made an artefact."""
    files = sorted(folder.glob(pattern))
    return hashlib.sha256("".join(file_digest(file) for file in files).encode()).hexdigest()
