"""The file: written at once or not at all, self-contained, small enough."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from common.errors import UserError
from reports.html import render, write_report
from tests.reports.builders import case, journal, many, one_of_every_outcome, timed

HOSTILE = "</script><img src=x onerror=alert(1)>"
LARGEST = 6_000_000


def without_plotly(page: str) -> str:
    """The page less its longest script."""
    return page.replace(max(re.findall(r"<script>.*?</script>", page, re.DOTALL), key=len), "")


def test_the_page_has_one_plotly_and_fetches_nothing() -> None:
    page = without_plotly(render(journal(*one_of_every_outcome())))
    assert len(page) < 300_000
    assert "plotly.js v" not in page
    assert not re.search(r"""(src|href)=["'](?!#|data:,)""", page)


def test_a_hostile_name_is_nowhere_markup() -> None:
    page = without_plotly(render(journal(timed(case(variant=HOSTILE), 1000.0), warnings=(HOSTILE,))))
    assert HOSTILE not in page
    assert "<img" not in page


def test_an_empty_journal_is_a_page_too() -> None:
    assert "No record was found" in render(journal())


def test_a_thousand_records_stay_under_the_limit(thousand: Path) -> None:
    assert thousand.stat().st_size <= LARGEST


def test_the_same_journal_gives_the_same_page() -> None:
    records = many(120)
    assert render(journal(*records)) == render(journal(*records))


def test_the_folder_is_made_and_nothing_else_is_left_in_it(tmp_path: Path) -> None:
    target = tmp_path / "new" / "report.html"
    write_report(journal(), target)
    assert target.read_text(encoding="utf-8").endswith("</html>")
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_that_cannot_be_made_is_one_sentence_naming_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    target = tmp_path / "file" / "report.html"
    with pytest.raises(UserError, match=re.escape(str(target))):
        write_report(journal(), target)


def test_who_reads_the_old_report_meanwhile_reads_all_of_it(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.write_text("old")
    with target.open() as reader:
        write_report(journal(), target)
        assert reader.read() == "old"
    assert target.read_text(encoding="utf-8") != "old"


def test_a_full_disk_leaves_the_old_report_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    target = tmp_path / "report.html"
    target.write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"report\.html.*No space left on device.*free space"):
        write_report(journal(), target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
