"""records.jsonl keeps every record that append() returned from, whatever happens to the run or to the disk."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from common.errors import UserError
from reports import journal
from reports.journal import append, load
from reports.record import SCHEMA, Record
from tests.reports.builders import case, one_of_every_outcome, timed

ROOT = Path(__file__).parents[2]
EVERY_OUTCOME = one_of_every_outcome()
RECORD = timed(case(), 1000.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.jsonl"


def filled(path: Path, *records: Record) -> Path:
    for record in records:
        append(path, record)
    return path


@pytest.mark.parametrize("record", EVERY_OUTCOME, ids=[type(record.outcome).__name__ + str(i) for i, record in enumerate(EVERY_OUTCOME)])
def test_a_record_is_read_as_it_was_written(record: Record, path: Path) -> None:
    found = load(filled(path, record))
    assert found.records == (record,)
    assert found.warnings == ()


def test_records_come_in_the_order_they_were_written_one_a_line(path: Path) -> None:
    filled(path, *EVERY_OUTCOME)
    assert load(path).records == EVERY_OUTCOME
    assert path.read_bytes().count(b"\n") == len(EVERY_OUTCOME)


def test_text_that_is_not_ascii_or_holds_line_ends_survives(path: Path) -> None:
    odd = msgspec.structs.replace(RECORD, run="Größe\n层 <b>\u2028\r\n")
    assert load(filled(path, odd, RECORD)).records == (odd, RECORD)


def test_an_empty_file_and_blank_lines_hold_no_records(path: Path) -> None:
    path.write_bytes(b"\n \n\n")
    assert load(path) == journal.Journal((), ())


@pytest.mark.parametrize("kept", [1, 30, -2])
def test_a_torn_last_line_is_left_out_with_a_warning(kept: int, path: Path) -> None:
    filled(path, *EVERY_OUTCOME[:2])
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1
    path.write_bytes(whole[: start + kept] if kept > 0 else whole[:kept])
    found = load(path)
    assert found.records == EVERY_OUTCOME[:1]
    assert found.warnings == ("records.jsonl:2: the last line is torn: the run was cut off while writing it; it is left out",)


def test_a_last_line_that_only_lacks_its_end_is_a_record(path: Path) -> None:
    filled(path, RECORD)
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert load(path) == journal.Journal((RECORD,), ())


def test_a_record_after_a_torn_line_is_not_lost(path: Path) -> None:
    filled(path, RECORD)
    path.write_bytes(path.read_bytes() + b'{"run":"2026')
    filled(path, EVERY_OUTCOME[1])
    found = load(path)
    assert found.records == (RECORD, EVERY_OUTCOME[1])
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith("records.jsonl:2: not a record")


DAMAGE = {
    "not JSON": b"{oops",
    "another shape": b'{"schema":%d,"run":3}' % SCHEMA,
    "no schema": b'{"run":"x"}',
    "not UTF-8": b'{"schema":%d,"run":"\xff"}' % SCHEMA,
    "a list": b"[]",
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_line_is_left_out_by_number_and_the_others_are_read(kind: str, path: Path) -> None:
    line = msgspec.json.encode(RECORD)
    path.write_bytes(b"\n".join((line, DAMAGE[kind], line, b"")))
    found = load(path)
    assert found.records == (RECORD, RECORD)
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith("records.jsonl:2: not a record (")
    assert found.warnings[0].endswith("; it is left out")


@pytest.mark.parametrize("schema", [0, SCHEMA + 1])
def test_another_schema_is_refused_with_the_remedy(schema: int, path: Path) -> None:
    append(path, msgspec.structs.replace(RECORD, schema=schema))
    with pytest.raises(UserError, match=rf"records\.jsonl:1: schema {schema}, but this trtbench reads schema {SCHEMA}; use the trtbench"):
        load(path)


def test_a_missing_file_is_refused_with_the_command_that_makes_one(path: Path) -> None:
    with pytest.raises(UserError, match=r"records\.jsonl: cannot be read \(No such file or directory\); run: make bench"):
        load(path)


def test_a_missing_folder_is_refused_with_the_case_and_the_option(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=rf"the record of {case().id} could not be written \(No such file.*choose another folder with --results"
    ):
        append(tmp_path / "missing" / "records.jsonl", RECORD)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write in a read-only folder")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="Permission denied"):
        append(tmp_path / "records.jsonl", RECORD)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    with pytest.raises(UserError, match="Not a directory"):
        append(tmp_path / "results" / "records.jsonl", RECORD)


def test_a_write_that_cannot_reach_the_disk_is_taken_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(path, RECORD)
    whole = path.read_bytes()

    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UserError, match="Input/output error"):
        append(path, EVERY_OUTCOME[1])
    assert path.read_bytes() == whole


def script(*lines: str) -> list[str]:
    head = [
        "import sys",
        "from pathlib import Path",
        "from reports.journal import append",
        "from tests.reports.builders import case, timed",
    ]
    return [sys.executable, "-c", "\n".join((*head, "path = Path(sys.argv[1])", *lines))]


def test_a_disk_that_fills_up_is_told_in_one_sentence_and_leaves_no_torn_line(path: Path) -> None:
    lines = (
        "import resource",
        "from common.errors import UserError",
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))",
        "try:",
        "    while True: append(path, timed(case(), 1000.0))",
        "except UserError as error: print(error)",
    )
    told = subprocess.run([*script(*lines), str(path)], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.count("\n") == 1
    assert "free space or choose another folder with --results" in told.stdout
    assert path.read_bytes().endswith(b"\n")
    found = load(path)
    assert found.warnings == ()
    assert len(found.records) > 0
    assert 50_000 - path.stat().st_size < len(msgspec.json.encode(RECORD)) + 1, "the disk was as full as whole records make it"


def test_a_kill_loses_nothing_that_append_returned_from(path: Path) -> None:
    lines = ("of = timed(case(), 1000.0)", "for n in range(10**9):", "    append(path, of)", "    print(n, flush=True)")
    with subprocess.Popen([*script(*lines), str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) >= 20:
                break
        os.kill(writer.pid, signal.SIGKILL)
        returned = [int(line) for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    acknowledged = max([20, *returned]) + 1
    assert writer.returncode == -signal.SIGKILL
    found = load(path)
    assert acknowledged <= len(found.records) <= acknowledged + 1
    assert all(record == RECORD for record in found.records)
