"""The cache: made once, checked at every read, never half there."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from bench.cache import Artefact, Cache
from common.errors import UserError


def write(text: str, made: list[str] | None = None, info: int = 7) -> object:
    def make(file: Path) -> int:
        if made is not None:
            made.append(text)
        file.write_text(text)
        return info

    return make


def get(cache: Cache, *key: str, text: str = "content", made: list[str] | None = None) -> Artefact[int]:
    return cache.artefact("stage", key, write(text, made), int)  # type: ignore[arg-type]


def test_what_was_made_once_is_not_made_again(tmp_path: Path) -> None:
    made: list[str] = []
    first, second = get(Cache(tmp_path), "a", made=made), get(Cache(tmp_path), "a", made=made)
    assert made == ["content"]
    assert (first.cached, second.cached) == (False, True)
    assert second.path.read_text() == "content"
    assert second.info == 7
    assert second.sha256 == first.sha256


def test_another_key_is_another_artefact(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert get(cache, "a", "b", text="1").path != get(cache, "ab", text="2").path
    assert get(cache, "a", "b").path.read_text() == "1"


@pytest.mark.parametrize("damage", ["truncate", "alter", "remove", "manifest"])
def test_a_damaged_artefact_is_named_and_made_again(tmp_path: Path, damage: str) -> None:
    path = get(Cache(tmp_path), "a").path
    if damage == "truncate":
        path.write_text("con")
    elif damage == "alter":
        path.write_text("CONTENT")
    elif damage == "remove":
        path.unlink()
    else:
        (path.parent / "manifest.json").write_text('{"sha256":')
    cache = Cache(tmp_path)
    again = get(cache, "a")
    assert again.path.read_text() == "content"
    assert not again.cached
    assert cache.warnings == [f"{path}: truncated or altered; made again"]


def test_a_maker_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(file: Path) -> int:
        file.write_text("half")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Cache(tmp_path).artefact("stage", ["a"], fail, int)
    assert list((tmp_path / "stage").iterdir()) == []
    assert get(Cache(tmp_path), "a").path.read_text() == "content"


def _slowly(root: Path) -> None:
    def make(file: Path) -> int:
        file.write_text("half")
        time.sleep(60)
        return 0

    Cache(root).artefact("stage", ["a"], make, int)


def test_a_kill_while_making_leaves_no_half_artefact(tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=_slowly, args=(tmp_path,))
    process.start()
    while not list(tmp_path.glob("stage/.making-*/artefact")):
        time.sleep(0.01)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    cache = Cache(tmp_path)
    assert get(cache, "a").path.read_text() == "content"
    assert not cache.warnings


def _make_for(root: Path, barrier: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    artefact = get(Cache(root), "a", text=f"content{os.getpid() * 0}")
    assert artefact.path.read_text() == "content0"


def test_two_runs_may_make_the_same_artefact_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    processes = [context.Process(target=_make_for, args=(tmp_path, barrier)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert [entry.name for entry in (tmp_path / "stage").iterdir() if entry.name.startswith(".making")] == []


def test_a_cache_that_cannot_be_written_says_so_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as error:
        get(Cache(tmp_path / "file"), "a")
    assert str(tmp_path / "file") in str(error.value)
    assert "--cache" in str(error.value)


def test_the_summary_counts_by_stage(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    get(cache, "a")
    get(cache, "a")
    get(cache, "b")
    assert cache.summary() == "stage 2 made, 1 cached"
    assert Cache(tmp_path).summary() == "nothing was needed"
