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
from reports.layers.join import Joined, join
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
    beside = "left out, though it stands beside it"
    try:
        new = _open(path)
    except UserError as error:
        notes.append(f"{beside}: {error}")
        return
    have = [one for _, one in found]
    times = next((one.times for one in have if one.times), [])
    described = next((one.described for one in have if one.described), [])
    if (new.times and times) or (new.described and described) or not (new.times or new.described or new.latency_us):
        return
    if join(times or new.times, described or new.described).unmatched == 1:
        notes.append(f"{beside}: {path}: names no layer of {found[0][0]}")
        return
    found.append((str(path), new))


def _profile(found: Sequence[tuple[str, Found]], notes: Sequence[str]) -> Profile:
    times, described = _only(found, "times"), _only(found, "described")
    joined = join(times[1].times if times else [], described[1].described if described else [])
    if joined.unmatched == 1 and times and described:
        raise UserError(f"{described[0]}: names no layer of {times[0]}, 0 % of its time: give the layer information of the same engine")
    whole = sorted((one for _, one in found), key=lambda one: (not one.latencies_us, one.latency_us is None))
    ranked = rank(joined.rows)
    return Profile(
        title=_title(found[0][0]),
        layers=ranked,
        sources=tuple((path, one.kind) for path, one in found),
        runs=times[1].runs if times else None,
        sum_us=sum([layer.mean_us or 0.0 for layer in ranked]) if times else None,
        latency_us=whole[0].latency_us,
        latencies_us=whole[0].latencies_us,
        unmatched=joined.unmatched,
        enqueue_us=next((one.enqueue_us for one in whole if one.enqueue_us is not None), None),
        version=next((one.version for _, one in found if one.version), ""),
        notes=(*dict.fromkeys(note for _, one in found for note in one.notes), *_of_join(joined), *notes),
    )


def _only(found: Sequence[tuple[str, Found]], part: str) -> tuple[str, Found] | None:
    """The one file that holds times or descriptions; of a log and a file of its own the latter, which has more digits."""
    holding = [(path, one) for path, one in found if getattr(one, part)]
    alone = [(path, one) for path, one in holding if not (one.times and one.described)]
    if len(alone) > 1:
        one, other = alone[0][0], alone[1][0]
        what = "times" if part == "times" else "descriptions"
        raise UserError(f"{one} and {other} both hold {what} of layers: give one, or compare them with trtbench layers diff")
    return next(iter(alone or holding), None)


def _of_join(joined: Joined) -> Iterator[str]:
    if joined.untimed:
        layers = "1 layer" if joined.untimed == 1 else f"{joined.untimed:,} layers"
        took = "it has no time" if joined.untimed == 1 else "they have no time"
        yield f"{layers} of the layer information took part in no profiled run: {took}"
    if joined.unmatched:
        matched = f"{100 * (1 - joined.unmatched):.1f} %"
        yield f"only {matched} of the time is in layers that the layer information names: is it of the same engine?"


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
        # What was made is old at once: else the first look at what is young goes through all of it.
        gc.freeze()
        gc.unfreeze()
        if enabled:
            gc.enable()
