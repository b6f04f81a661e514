"""Files of one engine -> its Profile. The only module here that opens files."""

from __future__ import annotations

import gc
import os
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from common.errors import UserError
from reports.layers.found import Found
from reports.layers.join import join
from reports.layers.profile import Profile
from reports.layers.rank import rank
from reports.layers.recognise import parse
from reports.layers.siblings import siblings, stem

LARGEST = 1 << 29
"""Bytes of one file, unpacked."""
STDIN = "-"


def read(paths: Sequence[Path | str], with_siblings: bool = True) -> Profile:
    """The profile of one engine from any of its files; "-" is standard input.

    A file given alone brings the files of the same engine that stand beside it (`x.profile.json` brings `x.graph.json`);
    such a one that cannot be read is named in the notes. Raises UserError, one sentence that begins with the file.
    """
    if not paths:
        raise UserError("no file to read: give a profile, as in trtbench layers profile.json layer_info.json")
    given = [Path(path) if str(path) != STDIN else STDIN for path in paths]
    with _no_collector():
        found = [(str(path), _open(path)) for path in given]
        notes: list[str] = []
        if with_siblings and len(given) == 1 and isinstance(given[0], Path):
            for path in siblings(given[0]):
                _add(path, found, notes)
        return _profile(found, notes)


def read_many(paths: Sequence[Path | str]) -> tuple[Profile, ...]:
    """One profile an engine, the files put together by name (`a.profile.json` with `a.graph.json`), in the order first named."""
    engines: dict[tuple[str, str], list[Path | str]] = {}
    for path in paths:
        engines.setdefault((STDIN, "") if str(path) == STDIN else stem(Path(path)), []).append(path)
    return tuple(read(files) for files in engines.values())


def _open(path: Path | str) -> Found:
    data = _content(path)
    try:
        return parse(data)
    except UserError as error:
        raise UserError(f"{_shown(path)}: {error}") from error
    except RecursionError as error:
        raise UserError(f"{_shown(path)}: nested too deeply to be a profile: export it again") from error
    except MemoryError as error:
        raise UserError(f"{_shown(path)}: too large for this machine's memory: split it or use a larger machine") from error


def _content(path: Path | str) -> bytes:
    try:
        if isinstance(path, str):
            data = sys.stdin.buffer.read(LARGEST + 1)
        else:
            with path.open("rb") as file:
                data = file.read() if os.fstat(file.fileno()).st_size <= LARGEST else bytes(LARGEST + 1)
        if data[:2] == b"\x1f\x8b":
            data = _unpacked(data)
    except OSError as error:
        raise UserError(f"{_shown(path)}: cannot be read ({error.strerror}): check the name") from error
    except (EOFError, zlib.error, ValueError) as error:
        raise UserError(f"{_shown(path)}: is a damaged .gz file ({error}): copy it again") from error
    if len(data) > LARGEST:
        raise UserError(f"{_shown(path)}: is larger than {LARGEST >> 20} MB: profile fewer layers or fewer runs")
    return data


def _unpacked(data: bytes) -> bytes:
    import gzip
    import io

    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        return file.read(LARGEST + 1)


def _shown(path: Path | str) -> str:
    return "standard input" if isinstance(path, str) else str(path)


def _add(path: Path, found: list[tuple[str, Found]], notes: list[str]) -> None:
    """A file that was not asked for: it may fill a gap, never replace what was given, never fail the reading."""
    try:
        new = _open(path)
    except UserError as error:
        notes.append(f"left out, though it stands beside it: {error}")
        return
    have = [one for _, one in found]
    times, described = (any(getattr(one, part) for one in have) for part in ("times", "described"))
    if (new.times and times) or (new.described and described) or not (new.times or new.described or new.latency_us):
        return
    found.append((str(path), new))


def _profile(found: Sequence[tuple[str, Found]], notes: Sequence[str]) -> Profile:
    timed = [(path, one) for path, one in found if one.times]
    described = [(path, one) for path, one in found if one.described]
    for kept, what in ((timed, "times"), (described, "descriptions")):
        alone = [(path, one) for path, one in kept if not (one.times and one.described)]
        if len(alone) > 1:
            one, other = alone[0][0], alone[1][0]
            raise UserError(f"{one} and {other} both hold {what} of layers: give one, or compare them with trtbench layers diff")
    times = timed[0][1] if timed else None
    layers = next((one for _, one in described if not one.times), described[0][1] if described else None)
    joined = join(times.times if times else [], layers.described if layers else [])
    if joined.unmatched == 1.0:
        raise UserError(f"{timed[0][0]}: 0 % of its time is in layers that {described[0][0]} names: they are of different engines")
    whole = sorted((one for _, one in found), key=lambda one: (not one.latencies_us, one.latency_us is None))
    ranked = rank(joined.rows)
    return Profile(
        title=_title(found[0][0]),
        layers=ranked,
        sources=tuple((path, one.kind) for path, one in found),
        runs=times.runs if times else None,
        sum_us=sum(layer.mean_us or 0.0 for layer in ranked) if times else None,
        latency_us=whole[0].latency_us,
        latencies_us=whole[0].latencies_us,
        unmatched=joined.unmatched,
        enqueue_us=next((one.enqueue_us for one in whole if one.enqueue_us is not None), None),
        version=next((one.version for _, one in found if one.version), ""),
        notes=(*dict.fromkeys(note for _, one in found for note in one.notes), *notes),
    )


def _title(path: str) -> str:
    return "standard input" if path == STDIN else stem(Path(path))[1] or Path(path).name


@contextmanager
def _no_collector() -> Iterator[None]:
    """Hundreds of thousands of records without a cycle among them: looking for one would double the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
