"""Real runs of the real harness, and rooms with one more file in them."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.discover import discover

ROOT = Path(__file__).resolve().parent.parent.parent
AddFile = Callable[[str, str, str], None]
CompletedRun = subprocess.CompletedProcess[str]


@pytest.fixture
def add_file(tmp_path: Path) -> Iterator[AddFile]:
    """Put one more file into a room, as a newcomer would: add_file("variants.passes", "boom", source)."""
    opened: dict[str, Path] = {}

    def add(package: str, name: str, source: str) -> None:
        folder = opened.setdefault(package, tmp_path / package)
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(source)
        room = importlib.import_module(package)
        if str(folder) not in room.__path__:
            room.__path__.append(str(folder))
        discover.cache_clear()

    yield add
    for package, folder in opened.items():
        importlib.import_module(package).__path__.remove(str(folder))
        for file in folder.glob("*.py"):
            sys.modules.pop(f"{package}.{file.stem}", None)
    discover.cache_clear()


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One artefact cache for all tests, so that the model is exported once."""
    return tmp_path_factory.mktemp("cache")


def command(*words: str, results: Path, cache: Path) -> list[str]:
    """The words of a real benchmark run."""
    return [
        *(sys.executable, "-m", "pytest", "bench/", "--benchmark-only", "-v", "-p", "no:cacheprovider"),
        *("--results", str(results), "--cache", str(cache), *words),
    ]


def run_bench(*words: str, results: Path, cache: Path, timeout: float = 120) -> CompletedRun:
    """Run the benchmarks as a user does, in a process of their own."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    return subprocess.run(
        command(*words, results=results, cache=cache),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
