"""The ONNX files of this run by the names that their cases carry."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from common.discover import Declared
from common.errors import UserError
from variants.own.known import Given
from variants.own.variant import variant
from variants.variant import Ready, Tensors, Variant

SUFFIX = ".onnx"
FOLDER = Path(__file__).parent
_opened: dict[str, Declared[Variant]] = {}


def opened(name: str) -> Declared[Variant] | None:
    """The file that was opened under this name, if any."""
    return _opened.get(name)


def open_files(places: Iterable[Path], given: Given, taken: Iterable[str]) -> list[str]:
    """Open the files, and those of folders, and give their names: the stem, with the folder's where that or `taken` has it already.

    Raises UserError where a file that was named, or every file of the folders, cannot be used, or no model has a dimension
    of `given`. One broken file of a folder does not keep the others from running: it says why when it is asked.
    """
    files = [file for place in places for file in _files(place)]
    named = dict(zip(_names([file for file, _ in files], set(taken)), files, strict=True))
    refused: dict[str, UserError] = {}
    dims: set[str] = set()
    for name, (file, alone) in named.items():
        try:
            made = variant(file, given)
            dims.update(made.dims)
            _opened[name] = Declared(name, f"{file.name}; {made.fed}", _digest(given.dims), made.variant)
        except UserError as error:
            if alone or given.inputs is not None:
                raise
            refused[name] = error
            _opened[name] = _unavailable(name, error)
    if refused and len(refused) == len(named):
        raise next(iter(refused.values()))
    if unknown := sorted(set(given.dims) - dims):
        raise UserError(f"--dim: no input has a free dimension '{unknown[0]}'; there are: {', '.join(sorted(dims)) or 'none'}")
    return list(named)


def _files(place: Path) -> list[tuple[Path, bool]]:
    """(file, whether it was named itself)."""
    if not place.is_dir():
        return [(place, True)]
    found = sorted(file for file in place.iterdir() if file.suffix == SUFFIX and not file.is_dir())
    if not found:
        raise UserError(f"{place}: holds no {SUFFIX} file; name the file, or the folder that holds it")
    return [(file, False) for file in found]


def _names(files: Sequence[Path], taken: set[str]) -> list[str]:
    """One readable word for each that no other has, such as -k takes: as many folders before the stem as that needs."""
    depth = dict.fromkeys(range(len(files)), 1)
    for more in range(2, 10):
        words = [_word(file, depth[at]) for at, file in enumerate(files)]
        seen = Counter(words)
        clash = [at for at, word in enumerate(words) if seen[word] > 1 or word in taken]
        if not clash:
            break
        depth |= dict.fromkeys(clash, more)
    words = [_word(file, depth[at]) for at, file in enumerate(files)]
    return [word if words.count(word) == 1 and word not in taken else f"{word}.{at + 1}" for at, word in enumerate(words)]


def _word(file: Path, depth: int) -> str:
    parts = [*file.resolve().parent.parts[1:], file.stem][-depth:]
    return re.sub(r"[^\w.]+", "_", ".".join(parts))


def _digest(dims: Mapping[str, int]) -> str:
    code = "".join(hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(FOLDER.glob("*.py")))
    return hashlib.sha256(f"{code} {sorted(dims.items())}".encode()).hexdigest()


def _unavailable(name: str, error: UserError) -> Declared[Variant]:
    def refuse(*_: object) -> Tensors:
        raise error

    value = Variant(
        module=lambda: refuse(),  # type: ignore[arg-type, return-value]
        inputs=refuse,
        outputs=(),
        metric="",
        agreement=lambda *_: 0.0,
        score=None,
        files=(),
        unavailable=lambda: str(error),
        ready=Ready(lambda _: None, refuse, 0, True),
    )
    return Declared(name, "cannot be used", "", value)


def close_all() -> None:
    """Forget the files of this run."""
    _opened.clear()
