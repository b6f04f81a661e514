"""One run of the matrix: its folder, its lock, its records, and the report at the end."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

import msgspec

from bench.artefacts import Artefacts
from bench.cache import Cache
from bench.environment import environment
from bench.matrix import Preset
from bench.pipeline import Pipeline
from common.errors import UserError
from reports.case import Case
from reports.html import write_report
from reports.journal import append, load
from reports.record import Record

RECORDS, REPORT, ERRORS, LATEST = "records.jsonl", "report.html", "errors.log", "latest"


class RecordNotWrittenError(UserError):
    """The results folder takes no more; the text says where the record went instead."""


@dataclass(slots=True)
class Session:
    """Opened by `open_session`; `folder` is `results/<date>-<time>-<preset>/`."""

    folder: Path
    pipeline: Pipeline
    lock: IO[str]
    counts: Counter[str]

    def run(self, case: Case) -> Record:
        """Run one case and append its record at once. Raises RecordNotWrittenError when that cannot be done."""
        record = self.pipeline.run(case)
        try:
            append(self.folder / RECORDS, record)
        except UserError as error:
            raise RecordNotWrittenError(f"{error}. {_rescue(record)}") from error
        self.counts[type(record.outcome).__name__.lower()] += 1
        return record

    @property
    def cache(self) -> Cache:
        """Of all artefacts."""
        return self.pipeline.artefacts.cache

    def close(self) -> Path | None:
        """Write the report from what was recorded and give the lock back; None when no case was recorded."""
        try:
            records = self.folder / RECORDS
            if not records.exists():
                return None
            report = self.folder / REPORT
            write_report(load(records), report)
            return report
        finally:
            self.lock.close()


def open_session(results: Path, cache: Path, preset: Preset, name: str, run_id: str = "") -> Session:
    """Make the run's folder and take the lock; `run_id` names a folder that a run goes on in, in place of a new one by date.

    Raises UserError when a folder cannot be written or another run is under way in this results folder.
    """
    for folder, option in ((results, "--results"), (cache, "--cache")):
        _writable(folder, option)
    lock = _lock(results)
    run_id = run_id or f"{datetime.now():%Y%m%d-%H%M%S}-{name}"
    folder = results / run_id
    folder.mkdir(exist_ok=True)
    _point(results / LATEST, run_id)

    def log(text: str) -> None:
        with (folder / ERRORS).open("a") as file:
            file.write(text + "\n")

    artefacts = Artefacts(Cache(cache), {name: Path(path) for name, path in preset.checkpoints.items()})
    pipeline = Pipeline(run_id, environment(preset.threads), artefacts, preset, log=log)
    return Session(folder, pipeline, lock, Counter())


def _writable(folder: Path, option: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}); choose another folder with {option}") from error


def _lock(results: Path) -> IO[str]:
    file = (results / ".lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        other = file.read().strip() or "unknown process"
        file.close()
        raise UserError(
            f"{results}: another run is measuring ({other}); two at once would disturb each other's clock: wait for it or stop it"
        ) from error
    file.truncate(0)
    file.write(f"process {os.getpid()}, since {datetime.now():%H:%M:%S}")
    file.flush()
    return file


def _point(link: Path, target: str) -> None:
    """results/latest -> the newest run, for those who type paths; not having it loses nothing."""
    with tempfile.TemporaryDirectory(dir=link.parent) as folder:
        fresh = Path(folder) / LATEST
        try:
            fresh.symlink_to(target)
            os.replace(fresh, link)
        except OSError:
            return


def _rescue(record: Record) -> str:
    line = msgspec.json.encode(record) + b"\n"
    try:
        with tempfile.NamedTemporaryFile(prefix="trtbench-record-", suffix=".jsonl", delete=False) as file:
            file.write(line)
        return f"The record is in {file.name} instead; append it to the records when there is space"
    except OSError:
        return f"Nor could it be written to {tempfile.gettempdir()}; here it is: {line.decode().strip()}"
